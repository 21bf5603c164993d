// Two connections to NATS: one for messages and keys, one for long bytes, since a server cuts off whoever does not read
// fast enough. Whoever wants NATS imports this when it is asked for, and not before.

import { readFile } from "node:fs/promises";
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
} from "@nats-io/transport-node";
import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { Bulk } from "../bulk.ts";
import type { Bus } from "../bus.ts";
import { type DoorSettings, openBulk } from "../http/open.ts";
import type { KeyReader } from "../keys.ts";
import type { LeaseStore } from "../lease-store.ts";
import { requireNodeId, subjectsOf } from "../subjects.ts";
import { readServers } from "./address.ts";
import { natsBus } from "./nats-bus.ts";
import { NatsStore } from "./nats-store.ts";

/** Before 2.9.21 two swaps of one revision may win (nats-server#4320), before 2.10.23 a kill loses streams (#6888). */
export const LEAST_SERVER = "2.10.23";
/** How long the first connection is tried for: whoever starts it all at once starts some of it first. */
const PATIENCE_MS = 30_000;
const TRY_EVERY_MS = 250;

export interface NatsOptions {
  /** As `--engine` has it: nats://host:port,host:port. */
  readonly servers: string;
  readonly run: string;
  /** Of this node. */
  readonly id: string;
  /** Files with credentials, with the seed of a key, and with whoever signs the servers' certificates. */
  readonly creds?: string;
  readonly nkey?: string;
  readonly tlsCa?: string;
  /** Where this node serves long bytes over HTTP; over the bus alone unless given. */
  readonly bulk?: DoorSettings;
  readonly clock: Clock;
  readonly onNotice: (message: string) => void;
  /** How long the first connection is tried for. */
  readonly patienceMs?: number;
}

export interface Cluster {
  readonly bus: Bus;
  readonly bulk: Bulk;
  /** Opens the keys: only coordinators may. @throws ENGINE_UNREACHABLE */
  store(): Promise<LeaseStore>;
  /** Reads them, which gateways may, too. */
  reader(): Promise<KeyReader>;
  close(): Promise<void>;
}

/** @throws CONFIG_INVALID, ENGINE_UNREACHABLE, ENGINE_TOO_OLD */
export async function connectNats(options: NatsOptions): Promise<Cluster> {
  const { run, id, clock, onNotice, tlsCa, bulk: serve } = options;
  const settings = await settingsOf(options);
  const control = await patiently(settings, options);
  try {
    requireFence(control);
    const second = await patiently({ ...settings, name: `${settings.name} bulk` }, options);
    const bus = natsBus(control);
    const door = { ...(serve === undefined ? {} : { serve }), ...(tlsCa === undefined ? {} : { caFile: tlsCa }) };
    const ports = { bus: natsBus(second), subjects: subjectsOf(run), id, clock, onNotice };
    const bulk = await openBulk({ ...ports, ...door }).catch(async (error) => {
      await second.close();
      throw error;
    });
    return {
      bus,
      bulk,
      store: () => NatsStore.open({ connection: control, run, onNotice }),
      reader: () => NatsStore.reader({ connection: control, run, onNotice }),
      close: async () => {
        await bulk.close();
        await second.close();
        await control.close();
      },
    };
  } catch (error) {
    await control.close();
    throw error;
  }
}

async function settingsOf({ servers, id, creds, nkey, tlsCa }: NatsOptions): Promise<ConnectionOptions> {
  const key = creds ?? nkey;
  const secret = key === undefined ? undefined : await readSecret(key);
  return {
    servers: [...readServers(servers)],
    name: `bitswarm ${requireNodeId(id)}`,
    // A server that hangs is left after three pings, one that is gone at once; both are tried for ever.
    pingInterval: 1000,
    maxPingOut: 3,
    reconnectTimeWait: 200,
    reconnectJitter: 50,
    maxReconnectAttempts: -1,
    timeout: 3000,
    inboxPrefix: `_INBOX.${id}`,
    ...(secret === undefined
      ? {}
      : {
          authenticator:
            creds === undefined
              ? nkeyAuthenticator(new TextEncoder().encode(secret.toString().trim()))
              : credsAuthenticator(secret),
        }),
    ...(tlsCa === undefined ? {} : { tls: { caFile: tlsCa } }),
  };
}

async function readSecret(file: string): Promise<Buffer> {
  return readFile(file).catch((cause) => {
    throw new BitswarmError("CONFIG_INVALID", `${file} cannot be read: ${cause.message}`, { cause });
  });
}

async function patiently(settings: ConnectionOptions, options: NatsOptions): Promise<NatsConnection> {
  const { clock, servers, patienceMs = PATIENCE_MS } = options;
  const until = clock.now() + patienceMs;
  for (;;) {
    try {
      return await connect(settings);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      if (clock.now() >= until) {
        throw new BitswarmError(
          "ENGINE_UNREACHABLE",
          `no server of ${servers} lets this node in (${why}), tried for ${patienceMs / 1000} s: start NATS, and see to the address and --creds, --nkey, --tls-ca`,
          { cause },
        );
      }
      await new Promise<void>((resolve) => setTimeout(resolve, TRY_EVERY_MS));
    }
  }
}

/** @throws ENGINE_TOO_OLD */
function requireFence(connection: NatsConnection): void {
  const version = connection.info?.version ?? "";
  if (canFence(version)) return;
  throw new BitswarmError(
    "ENGINE_TOO_OLD",
    `nats-server ${version || "of no version that it tells"} at ${connection.getServer()} cannot fence: two coordinators could commit the same step (nats-server#4320, #6888). ${LEAST_SERVER} or later is needed; Debian 13 has 2.10.27`,
  );
}

/** Whether a server of this version keeps a leader that was replaced from committing. */
export function canFence(version: string): boolean {
  const numbers = (text: string) => /^(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number);
  const [found, least] = [numbers(version), numbers(LEAST_SERVER) ?? []];
  if (!found) return false;
  const at = found.findIndex((number, i) => number !== least[i]);
  return at < 0 || found[at] > least[at];
}
