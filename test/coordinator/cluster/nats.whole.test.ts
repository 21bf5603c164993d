// The same ports on three real nats-servers, and what a server that cannot fence is told.

import { createServer } from "node:net";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import type { LeaseStore } from "../../../coordinator/cluster/lease-store.ts";
import { type Cluster, canFence, connectNats } from "../../../coordinator/cluster/nats/connect.ts";
import { longBytes, sha256 } from "../../fixtures/long-bytes.ts";
import { type NatsServers, startNats } from "../../fixtures/nats-servers.ts";
import { notOnLinux } from "../../fixtures/test-tool.ts";
import { portsContract } from "./ports-contract.ts";

describe.skipIf(notOnLinux)("three nats-servers", () => {
  let servers: NatsServers;
  const nodes = new Map<string, Promise<Cluster & { readonly opened: LeaseStore }>>();
  const doors: typeof nodes = new Map();
  const options = (id: string, run = "contract.run") => {
    return { servers: servers.url, run, id, clock: systemClock, onNotice: () => undefined };
  };
  const node = async (id: string) => {
    const opening =
      nodes.get(id) ??
      connectNats(options(id)).then(async (cluster) => ({ ...cluster, opened: await cluster.store() }));
    nodes.set(id, opening);
    const { bus, bulk, opened } = await opening;
    return { bus, bulk, store: opened };
  };

  beforeAll(async () => {
    servers = await startNats();
  });
  afterAll(async () => {
    for (const opening of [...nodes.values(), ...doors.values()]) await (await opening).close();
    await servers.close();
  });

  portsContract("nats", node, 200);

  // Another run, whose nodes have doors.
  portsContract(
    "nats and HTTP",
    async (id) => {
      const bulk = { listen: "127.0.0.1:0" };
      const opening =
        doors.get(id) ??
        connectNats({ ...options(id, "doors"), bulk }).then(async (cluster) => {
          return { ...cluster, opened: await cluster.store() };
        });
      doors.set(id, opening);
      const { bus, bulk: over, opened } = await opening;
      return { bus, bulk: over, store: opened };
    },
    5,
  );

  test("U23 a key that somebody removed by hand is as if it never was, and made anew", async () => {
    const { store } = await node("c-0");
    const value = new Uint8Array([1]);
    const made = await store.create("u23", value);
    const connection = await connect({ servers: servers.ports.map((port) => `127.0.0.1:${port}`) });
    const bucket = await new Kvm(connection).open("bs_contract_run");
    await bucket.purge("u23");
    expect(await store.read("u23")).toBeUndefined();
    expect(await store.update("u23", value, made.kind === "won" ? made.revision : 0)).toEqual({ kind: "lost" });
    expect(await store.create("u23", value)).toMatchObject({ kind: "won" });
    expect((await store.read("u23"))?.value).toEqual(value);
    // And the mark in its place with it.
    await bucket.delete("u23");
    expect(await store.read("u23")).toBeUndefined();
    await (await jetstreamManager(connection)).streams.purge("KV_bs_contract_run");
    expect(await store.read("u23")).toBeUndefined();
    expect(await store.create("u23", value)).toMatchObject({ kind: "won" });
    await connection.close();
  });

  test("U10 with one server of three killed, keys and long bytes go on", async () => {
    const [{ store, bulk: asker }, { bulk: holder }] = [await node("c-0"), await node("g-0")];
    const made = await store.create("u10", new Uint8Array([1]));
    const bytes = longBytes(2 ** 24);
    holder.offer("u10", bytes);
    const fetching = asker.fetch({ holder: "g-0", name: "u10", bytes: bytes.length, sha256: sha256(bytes) });
    servers.child(0).kill("SIGKILL");
    // Whoever was at that server is silent for longer than pieces are waited for: asked again, they come.
    const fetched = await fetching.catch(() =>
      asker.fetch({ holder: "g-0", name: "u10", bytes: bytes.length, sha256: sha256(bytes) }),
    );
    expect(sha256(fetched)).toBe(sha256(bytes));
    const read = () => store.read("u10").catch(() => undefined);
    await expect.poll(async () => (await read())?.revision).toBe(made.kind === "won" && made.revision);
    servers.restart(0);
  });
});

test.each([
  ["2.9.10", false],
  ["2.10.22", false],
  ["2.10.23", true],
  ["2.10.27-1", true],
  ["2.11.0", true],
  ["", false],
])("U11 a server of version %j: whether it can fence is %j", (version, can) => {
  expect(canFence(version)).toBe(can);
});

test("U12 a server that cannot fence is ENGINE_TOO_OLD by its version, and where none is it says so", async () => {
  const server = createServer((socket) => {
    socket.write(`INFO ${JSON.stringify({ server_id: "x", version: "2.9.10", max_payload: 1_048_576, proto: 1 })}\r\n`);
    socket.on("data", (data) => data.includes("PING") && socket.write("PONG\r\n"));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { readonly port: number };
  const connecting = (at: number) =>
    connectNats({
      servers: `nats://127.0.0.1:${at}`,
      run: "r",
      id: "c-0",
      clock: systemClock,
      onNotice: () => undefined,
      patienceMs: 0,
    });
  await expect(connecting(port)).rejects.toMatchObject({
    code: "ENGINE_TOO_OLD",
    message: expect.stringContaining("2.9.10"),
  });
  await expect(connecting(1)).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
});
