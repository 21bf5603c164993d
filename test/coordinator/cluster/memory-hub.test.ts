// Bus, store and bulk in one process, and what becomes of them where messages are lost, doubled and late.

import { beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { CHUNK_BYTES } from "../../../coordinator/cluster/chunk-message.ts";
import { swapped } from "../../../coordinator/cluster/lease-store.ts";
import { MemoryHub } from "../../../coordinator/cluster/memory-hub.ts";
import { rng } from "../../../shared/base/rng.ts";
import { longBytes, sha256 } from "../../fixtures/long-bytes.ts";
import { type Ports, portsContract } from "./ports-contract.ts";

function hubOf(seed = "hub"): MemoryHub {
  const random = rng(seed);
  return new MemoryHub({ clock: systemClock, draw: () => random.uniform(), run: "r", timeoutMs: 50 });
}

let hub = hubOf();
let nodes = new Map<string, Ports>();
beforeEach(() => {
  hub = hubOf();
  nodes = new Map();
});
async function node(id: string): Promise<Ports> {
  const known = nodes.get(id) ?? { bus: hub.bus(id), bulk: hub.bulk(id), store: hub.store(id) };
  nodes.set(id, known);
  return known;
}

portsContract("memory", node, 50);

describe("with faults", () => {
  const bytesOf = (words: string) => new TextEncoder().encode(words);

  test("U7 a swap whose answer is lost is read back: done, not done, or another's", async () => {
    const store = hub.store("c-0");
    const value = bytesOf("mine");
    const reply = (done: boolean, answered: boolean) => {
      hub.faults.swap = () => ({ done, answered });
    };
    reply(true, false);
    const made = await swapped(store, { key: "k", value, revision: 0 });
    expect(made).toMatchObject({ kind: "won" });
    const { revision } = (await store.read("k")) ?? { revision: 0 };
    reply(false, false);
    expect(await swapped(store, { key: "k", value: bytesOf("next"), revision })).toBe("undone");
    reply(true, true);
    expect(await swapped(store, { key: "k", value: bytesOf("stale"), revision: revision - 1 })).toEqual({
      kind: "lost",
    });
    expect(await swapped(store, { key: "k", value: bytesOf("next"), revision })).toMatchObject({ kind: "won" });
    hub.faults.storeDown = true;
    await expect(swapped(store, { key: "k", value, revision })).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
  });

  test("U8 pieces that are lost, doubled and late are asked for again until all are there", async () => {
    Object.assign(hub.faults, { lose: 0.2, duplicate: 0.2, delayMs: [0, 20] });
    const [{ bulk: holder }, { bulk: asker }, { bulk: listener }] = [
      await node("g-0"),
      await node("c-0"),
      await node("c-1"),
    ];
    const bytes = longBytes(20 * CHUNK_BYTES);
    holder.offer("long", bytes);
    const request = { holder: "g-0", name: "long", bytes: bytes.length, sha256: sha256(bytes) };
    const both = await Promise.all([asker.fetch(request), listener.fetch({ ...request, patient: true })]);
    for (const fetched of both) expect(sha256(fetched)).toBe(request.sha256);
  });

  test("U70 messages from one node to another keep their order, as on one connection, unless some are to overtake", async () => {
    const order = async (overtake: number) => {
      Object.assign(hub.faults, { delayMs: [0, 5], overtake });
      const [{ bus: a }, { bus: b }] = [await node("c-0"), await node("g-0")];
      const heard: number[] = [];
      const stop = [
        b.subscribe("x", ({ data }) => heard.push(data[0])),
        b.subscribe("y.*", ({ data }) => heard.push(data[0])),
      ];
      for (let i = 0; i < 40; i++) a.publish(i % 2 === 0 ? "x" : "y.z", Uint8Array.of(i));
      await expect.poll(() => heard.length).toBe(40);
      for (const end of stop) end();
      return heard;
    };
    const sent = Array.from({ length: 40 }, (_, i) => i);
    expect(await order(0)).toEqual(sent);
    const mixed = await order(0.5);
    expect(mixed).not.toEqual(sent);
    expect(mixed.toSorted((a, b) => a - b)).toEqual(sent);
  });

  test("U9 whoever is cut off reaches nobody, and nobody reaches it", async () => {
    const [{ bus: a, store }, { bus: b }] = [await node("c-0"), await node("g-0")];
    const heard: string[] = [];
    b.subscribe("x", () => heard.push("b"));
    a.subscribe("y", () => heard.push("a"));
    hub.faults.cut.add("c-0");
    a.publish("x", new Uint8Array());
    b.publish("y", new Uint8Array());
    await b.flush();
    await expect(store.read("k")).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
    expect(heard).toEqual([]);
    hub.faults.cut.clear();
    a.publish("x", new Uint8Array());
    await expect.poll(() => heard).toEqual(["b"]);
  });
});
