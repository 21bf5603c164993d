// What is asked for at the dashboard of a node that does not lead, passed on to whoever does. It comes with the token
// that was shown, which the leader looks at itself: a node that is not its operator's gets nothing done.

import { BitswarmError, type ErrorCode, errorCodes, type Refusal } from "../../shared/base/errors.ts";
import type { Bus, Unsubscribe } from "./bus.ts";
import { isUnreachable } from "./lease-store.ts";
import { decode, encode, type Payload } from "./messages.ts";
import type { Subjects } from "./subjects.ts";

export type PassedCommand = Payload<"operate">["command"];
/** Whoever leads answers so soon, or nobody leads. */
export const PASS_ON_MS = 2000;

export interface PassOn {
  readonly bus: Bus;
  readonly subjects: Subjects;
  /** Of this node. */
  readonly node: string;
}

/**
 * Has whoever leads do it. @returns its id
 * @throws RUN_UNREACHABLE where nobody leads just now; what the leader refuses it with
 */
export async function passOn({ bus, subjects, node }: PassOn, command: PassedCommand, token: string): Promise<string> {
  const asked = encode("operate", { node, token, command });
  const answer = await bus.request(subjects.fromNode("operate", node), asked, PASS_ON_MS).catch((error) => {
    if (!isUnreachable(error)) throw error;
    throw nobodyLeads(command.type);
  });
  const done = decode("done", answer);
  if (!done) throw nobodyLeads(command.type);
  const { refused, leader } = done;
  if (refused) throw new BitswarmError(codeOf(refused.code), `${leader}, which leads: ${refused.message}`);
  return leader;
}

function nobodyLeads(what: PassedCommand["type"]): BitswarmError {
  return new BitswarmError(
    "RUN_UNREACHABLE",
    `nobody leads the run just now (no answer within ${PASS_ON_MS / 1000} s), so ${what} was not done: ask again in a few seconds`,
  );
}

function codeOf(code: string): ErrorCode {
  return code in errorCodes ? (code as ErrorCode) : "MESSAGE_INVALID";
}

/** The leader's side. @param obey does it, or says why not */
export function hearCommands(
  { bus, subjects, node }: PassOn,
  obey: (asked: Payload<"operate">) => Refusal | null,
): Unsubscribe {
  return bus.subscribe(subjects.fromNode("operate", "*"), ({ data, reply }) => {
    const asked = decode("operate", data);
    if (asked) reply?.(encode("done", { leader: node, refused: obey(asked) }));
  });
}
