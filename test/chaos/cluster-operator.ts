// Whoever has a coordinator's key and may look at the two keys of a run, and remove them: a process that takes a line
// of standard input at a time and answers each with a line of JSON. `node cluster-operator.js SERVERS KEYS ID RUN`.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { leaseValueSchema } from "../../coordinator/cluster/fence.ts";
import { decodePlain } from "../../shared/wire/plain-message.ts";

const [servers, keys, id, run] = process.argv.slice(2);
const connection = await connect({
  servers: servers.split(","),
  tls: { caFile: join(keys, "ca.pem") },
  authenticator: nkeyAuthenticator(readFileSync(join(keys, `${id}.nk`))),
  inboxPrefix: `_INBOX.${id}`,
  reconnectTimeWait: 100,
  maxReconnectAttempts: -1,
  pingInterval: 1000,
  maxPingOut: 3,
  timeout: 30_000,
  waitOnFirstConnect: true,
});
const bucket = `bs_${run}`;
const stream = `KV_${bucket}`;
// Asked again by whoever asks, where there is no answer.
const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 1000 });
const lookAt = async (key: string) =>
  (await manager.streams.getMessage(stream, { last_by_subj: `$KV.${bucket}.${key}` }))?.data;

const answers: Readonly<Record<string, () => Promise<unknown>>> = {
  look: async () => {
    const lease = await lookAt("lease");
    if (!lease) throw new Error("there is no lease");
    const { leader, epoch } = decodePlain(lease, leaseValueSchema);
    const { cluster } = await manager.streams.info(stream);
    return { leader, epoch, server: cluster?.leader };
  },
  purge: async () => {
    const kv = await new Kvm(connection).open(bucket, { allow_direct: false });
    for (const key of ["head", "lease"]) await kv.purge(key);
  },
  delete: async () => {
    const kv = await new Kvm(connection).open(bucket, { allow_direct: false });
    for (const key of ["lease", "head"]) await kv.delete(key);
  },
  "purge-stream": () => manager.streams.purge(stream),
  "delete-stream": () => manager.streams.delete(stream),
};

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await answers[line]().then(
    (value) => ({ value: value ?? null }),
    (error) => ({ error: String(error) }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await connection.close();
