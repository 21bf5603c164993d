// Whether NATS servers that have just begun are a cluster. Of fifty starts of three servers 2.10.27 at once one or two
// end with one that the elected one never hears ("no suitable peers for placement"), for as long as they run: such
// servers are begun anew, from nothing.
//   node deploy/cluster/are-cluster.mjs nats://HOST:PORT,HOST:PORT,HOST:PORT ID KEYS
// ends with 0 where they are. ID is a coordinator, KEYS the folder that make-keys.mjs wrote.

import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { jetstreamManager, StorageType } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";

/** Those that do take a second or two; on cores that others use as well some more. */
const READY_MS = 15_000;
/** Before there is an election nobody answers; one that is late is found done by the next. */
const ANSWER_MS = 1000;
const AGAIN_MS = 100;
const NAME = "ready";

/**
 * Whether a stream can have a copy at each of three.
 *
 * @param {import("@nats-io/transport-node").NodeConnectionOptions} options @returns {Promise<boolean>}
 */
export async function areCluster(options) {
  const until = performance.now() + READY_MS;
  const connection = await connect({ ...options, timeout: READY_MS, waitOnFirstConnect: true });
  try {
    const { streams } = await jetstreamManager(connection, { checkAPI: false, timeout: ANSWER_MS });
    while (performance.now() < until) {
      try {
        await streams.add({ name: NAME, subjects: [NAME], num_replicas: 3, storage: StorageType.Memory });
        return await streams.delete(NAME);
      } catch {
        await sleep(AGAIN_MS);
      }
    }
    return false;
  } finally {
    await connection.close();
  }
}

/** @param {readonly string[]} parameters @returns {Promise<number>} */
async function main([engine, id, keys]) {
  const seed = fs.readFileSync(path.join(keys, `${id}.nk`));
  const there = await areCluster({
    servers: engine.replace("nats://", "").split(","),
    tls: { caFile: path.join(keys, "ca.pem") },
    authenticator: nkeyAuthenticator(seed),
    inboxPrefix: `_INBOX.${id}`,
  });
  return there ? 0 : 1;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
