// Where on the bus each message of a run travels. What a gateway publishes ends with its id (or has it before whom it
// is for), so that a server can hold each to its own.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { FromGateway, FromNode, ToAll, ToGateway } from "./messages.ts";

/** Ids of coordinators and gateways: tokens of subjects, and names of key files. */
const NODE_ID = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** @throws CONFIG_INVALID */
export function requireNodeId(id: string): string {
  if (NODE_ID.test(id)) return id;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `the id ${JSON.stringify(id)} of a coordinator or gateway: 1 to 32 of a-z, 0-9 and hyphens are due, and no hyphen first`,
  );
}

/** Runs are named by people: what a token may not have is left out, and the tag keeps names apart. */
export function subjectToken(run: string): string {
  return run.replaceAll(/[^A-Za-z0-9_-]/g, "_");
}

export interface Subjects {
  /** From the leader to everybody. */
  toAll(kind: ToAll): string;
  /** From the leader to one gateway. */
  toGateway(kind: ToGateway, gateway: string): string;
  /** From a gateway; `*` for all of them. */
  fromGateway(kind: FromGateway, gateway: string): string;
  /** From any node to whoever leads; `*` for all of them. */
  fromNode(kind: FromNode, node: string): string;
  /** Pieces of long bytes. */
  bulk(holder: string, asker: string): string;
  /** Asks for pieces. */
  ask(asker: string, holder: string): string;
  /** All that is asked of one holder. */
  asksOf(holder: string): string;
  /** Asks where a holder's door is, and all such questions to one holder. */
  door(asker: string, holder: string): string;
  doorsOf(holder: string): string;
}

export function subjectsOf(run: string): Subjects {
  const root = `bs.${subjectToken(run)}`;
  return {
    toAll: (kind) => `${root}.${kind}`,
    toGateway: (kind, gateway) => `${root}.${kind}.${gateway}`,
    fromGateway: (kind, gateway) => `${root}.${kind}.${gateway}`,
    fromNode: (kind, node) => `${root}.${kind}.${node}`,
    bulk: (holder, asker) => `${root}.bulk.${holder}.${asker}`,
    ask: (asker, holder) => `${root}.ack.${asker}.${holder}`,
    asksOf: (holder) => `${root}.ack.*.${holder}`,
    door: (asker, holder) => `${root}.door.${asker}.${holder}`,
    doorsOf: (holder) => `${root}.door.*.${holder}`,
  };
}
