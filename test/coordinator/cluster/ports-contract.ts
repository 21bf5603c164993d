// What every adapter of bus, store and bulk must do; rules U of SPEC.md.

import { describe, expect, test } from "vitest";
import type { Bulk } from "../../../coordinator/cluster/bulk.ts";
import type { Bus } from "../../../coordinator/cluster/bus.ts";
import { CHUNK_BYTES } from "../../../coordinator/cluster/chunk-message.ts";
import { isUnreachable, type LeaseStore, type StoredValue, swapped } from "../../../coordinator/cluster/lease-store.ts";
import { longBytes, sha256 } from "../../fixtures/long-bytes.ts";

/** What is at a key, asked for until the store answers. */
async function answered(read: () => Promise<StoredValue | undefined>): Promise<StoredValue> {
  for (;;) {
    try {
      const found = await read();
      if (found) return found;
      throw new Error("nothing is at the key");
    } catch (error) {
      if (!isUnreachable(error)) throw error;
    }
  }
}

/**
 * Resolves once what one node publishes is passed on to what another has subscribed to: between servers that takes its
 * time, after either's flush.
 */
async function reaches(from: Bus, to: Bus): Promise<void> {
  let heard = false;
  const stop = to.subscribe("reached", () => {
    heard = true;
  });
  await expect
    .poll(() => {
      from.publish("reached", new Uint8Array());
      return heard;
    })
    .toBe(true);
  stop();
}

/** A node's ports. */
export interface Ports {
  readonly bus: Bus;
  readonly bulk: Bulk;
  readonly store: LeaseStore;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (words: string) => new TextEncoder().encode(words);

/** @param node the ports of the node of an id; the same for the same @param races of three nodes at one revision */
export function portsContract(name: string, node: (id: string) => Promise<Ports>, races: number): void {
  describe(name, () => {
    test("U1 what is published reaches whoever subscribed to its pattern before, and nobody who left", async () => {
      const [{ bus: a }, { bus: b }] = [await node("c-0"), await node("g-0")];
      const heard: string[] = [];
      const hear = (pattern: string) => (message: { subject: string; data: Uint8Array }) => {
        heard.push(`${pattern} ${message.subject} ${text(message.data)}`);
      };
      b.subscribe("u1.*.x", hear("u1.*.x"));
      b.subscribe("u1.>", hear("u1.>"));
      const leave = b.subscribe("u1.a.x", hear("left"));
      leave();
      await reaches(a, b);
      for (const subject of ["u1.a.x", "u1.a.b.x", "u2.a.x"]) a.publish(subject, bytesOf("hello"));
      await a.flush();
      await expect.poll(() => heard.length).toBe(3);
      expect(heard.sort()).toEqual(["u1.*.x u1.a.x hello", "u1.> u1.a.b.x hello", "u1.> u1.a.x hello"]);
    });

    test("U2 a request has its answer, or is ENGINE_UNREACHABLE in time", async () => {
      const [{ bus: a }, { bus: b }] = [await node("c-0"), await node("g-0")];
      const stop = b.subscribe("u3.*", ({ subject, data, reply }) => reply?.(bytesOf(`${subject} ${text(data)}`)));
      await reaches(a, b);
      expect(text(await a.request("u3.q", bytesOf("ping"), 30_000))).toBe("u3.q ping");
      stop();
      await b.flush();
      await expect(a.request("u3.q", bytesOf("ping"), 50)).rejects.toMatchObject({ code: "ENGINE_UNREACHABLE" });
    });

    test("U3 a key is made once, and changed only at its newest revision", async () => {
      const { store } = await node("c-0");
      expect(await store.read("u3")).toBeUndefined();
      const made = await store.create("u3", bytesOf("one"));
      expect(made.kind).toBe("won");
      expect(await store.create("u3", bytesOf("other"))).toEqual({ kind: "lost" });
      const first = await store.read("u3");
      expect(made).toEqual({ kind: "won", revision: first?.revision });
      const second = await store.update("u3", bytesOf("two"), first?.revision ?? 0);
      expect(second.kind === "won" && second.revision > (first?.revision ?? 0)).toBe(true);
      expect(await store.update("u3", bytesOf("stale"), first?.revision ?? 0)).toEqual({ kind: "lost" });
      expect(text((await store.read("u3"))?.value ?? new Uint8Array())).toBe("two");
    });

    test("U4 of nodes that change a key from one revision exactly one is told that it won", async () => {
      const stores = await Promise.all(["c-0", "c-1", "c-2"].map(async (id) => (await node(id)).store));
      await stores[0].create("u4", bytesOf("start"));
      for (let race = 0, lost = 0; race < races + lost; race++) {
        const { revision } = await answered(() => stores[0].read("u4"));
        // What has no answer in time, as on a machine that is busy, is read back.
        const outcomes = await Promise.all(
          stores.map((store, i) => {
            const swap = { key: "u4", value: bytesOf(`${race} ${i}`), revision };
            return swapped(store, swap).catch((error) => {
              if (isUnreachable(error)) return "undone" as const;
              throw error;
            });
          }),
        );
        const winners = outcomes.flatMap((outcome, i) => (outcome !== "undone" && outcome.kind === "won" ? [i] : []));
        const { value } = await answered(() => stores[2].read("u4"));
        if (winners.length === 0 && outcomes.includes("undone")) {
          expect(++lost).toBeLessThan(races);
          continue;
        }
        expect(winners).toHaveLength(1);
        expect(text(value)).toBe(`${race} ${winners[0]}`);
      }
    });

    test("U5 long bytes come whole to whoever asks their holder, and to whoever listens", async () => {
      const [{ bulk: holder }, { bulk: asker }, { bulk: listener }] = [
        await node("g-0"),
        await node("c-0"),
        await node("c-1"),
      ];
      const bytes = longBytes(9 * CHUNK_BYTES + 1);
      holder.offer("long", bytes);
      const request = { holder: "g-0", name: "long", bytes: bytes.length, sha256: sha256(bytes) };
      const listening = listener.fetch({ ...request, patient: true });
      const fetched = await asker.fetch(request);
      expect(sha256(fetched)).toBe(request.sha256);
      expect(sha256(await listening)).toBe(request.sha256);
      holder.offer("none", new Uint8Array());
      expect(await asker.fetch({ ...request, name: "none", bytes: 0, sha256: sha256(new Uint8Array()) })).toHaveLength(
        0,
      );
    });

    test("U6 what its holder has not, or has otherwise, is BULK_LOST", async () => {
      const [{ bulk: holder }, { bulk: asker }] = [await node("g-0"), await node("c-0")];
      const bytes = longBytes(2 * CHUNK_BYTES);
      holder.offer("other", bytes);
      const request = { holder: "g-0", name: "other", bytes: bytes.length, sha256: sha256(bytes) };
      const lost = (change: Partial<typeof request>) =>
        expect(asker.fetch({ ...request, ...change })).rejects.toMatchObject({ code: "BULK_LOST" });
      await lost({ name: "never offered" });
      await lost({ sha256: sha256(new Uint8Array()) });
      await lost({ bytes: bytes.length + 1 });
      await lost({ bytes: 2 ** 40 });
      holder.withdraw("other");
      await lost({});
      const gone = new AbortController();
      const waiting = asker.fetch({ ...request, holder: "nobody", signal: gone.signal });
      gone.abort(new Error("no more"));
      await expect(waiting).rejects.toThrow("no more");
    });
  });
}
