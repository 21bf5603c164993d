// Shards that another coordinator sends: fetched once, kept, and never believed unless they are what their name says.

import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { FarShards, type FarShardsOptions, GIVE_UP_MS, SILENT_MS } from "../../../coordinator/data/far-shards.ts";
import { ShardStore } from "../../../coordinator/data/shard-store.ts";
import { contentHash } from "../../../coordinator/disk/content-hash.ts";
import { Timeline } from "../../../coordinator/simulate/timeline.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { withFolder } from "../../fixtures/tiny-run.ts";

const shape = { h: 2, w: 2, c: 1 };
const raw = Uint8Array.from({ length: 20 }, (_, i) => i);
const base = { name: "far", shape, classes: 10, mean: [0.5], std: [0.25] };

function rawDataset(): { readonly dataset: Dataset; readonly sha256: string } {
  const sha256 = contentHash(raw);
  const shard = { sha256, samples: 4, bytes: raw.length };
  const split = { samples: 4, shards: [shard] };
  return { dataset: { ...base, format: { kind: "raw" }, train: split, test: split } as Dataset, sha256 };
}

async function drain(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

test("Q17 a gateway fetches each shard once, keeps it on its disk, and takes none whose bytes are another's", async () => {
  await withFolder(async (folder) => {
    const { dataset, sha256 } = rawDataset();
    const asked: string[] = [];
    let sent = raw.slice();
    const open = (address: string | undefined) =>
      new FarShards({
        dataset,
        store: new ShardStore(folder),
        address: () => address,
        token: () => "secret",
        fetch: async (url) => {
          asked.push(url.href);
          return new Response(sent);
        },
        clock: systemClock,
      });
    await expect(open(undefined).shard(sha256)).rejects.toMatchObject({ code: "DATA_MISSING" });
    sent[3] ^= 1;
    await expect(open("http://127.0.0.1:1/").shard(sha256)).rejects.toMatchObject({ code: "DATA_INVALID" });
    sent = raw.slice();
    asked.length = 0;
    const far = open("http://127.0.0.1:1/run/");
    expect(await far.shard("0".repeat(64))).toBeUndefined();
    const [one, other] = await Promise.all([far.shard(sha256), far.shard(sha256)]);
    expect(asked).toEqual([`http://127.0.0.1:1/run/shards/${sha256}?token=secret`]);
    expect(one && (await drain(one.stream()))).toEqual(raw);
    expect(other?.bytes).toBe(raw.length);
    // Whoever comes after a restart finds it there.
    expect((await open(undefined).shard(sha256))?.bytes).toBe(raw.length);
    expect(asked.length).toBe(1);
  });
});

/** A shard in virtual time: what it came to, and when. */
async function fetched(folder: string, { address, fetch }: Pick<FarShardsOptions, "address" | "fetch">) {
  const { dataset, sha256 } = rawDataset();
  const timeline = new Timeline();
  const clock = timeline.clock("world");
  const far = new FarShards({ dataset, store: new ShardStore(folder), address, token: () => "secret", fetch, clock });
  let over = false;
  const end = far
    .shard(sha256)
    .then((found) => found?.bytes)
    .catch((error) => error)
    .finally(() => {
      over = true;
    });
  while (!over) {
    // Whoever was woken goes as far as it can before time does.
    await setImmediate();
    timeline.next()?.call();
  }
  return { end: await end, ms: timeline.now };
}

/** Never answers. */
const nothing = (signal: AbortSignal) =>
  new Promise<Response>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("Q33 of whoever sends nothing for 4 s a shard is asked no more, but of whoever leads by then", async () => {
  await withFolder(async (folder) => {
    const places = ["http://127.0.0.1:1/", "http://127.0.0.1:2/"];
    const asked: string[] = [];
    const { end, ms } = await fetched(folder, {
      address: () => places[Math.min(asked.length, 1)],
      fetch: async ({ origin }, signal) => {
        asked.push(origin);
        if (asked.length > 1) return new Response(raw);
        // It is cut off with half of it sent.
        const start = (to: ReadableStreamDefaultController) => {
          to.enqueue(raw.slice(0, 10));
          signal.addEventListener("abort", () => to.error(signal.reason));
        };
        return new Response(new ReadableStream({ start }));
      },
    });
    expect(end).toBe(raw.length);
    expect(asked).toEqual(["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    expect(ms).toBeGreaterThanOrEqual(SILENT_MS);
    expect(ms).toBeLessThan(2 * SILENT_MS);
  });
});

test("Q33 a shard that nobody sends is DATA_MISSING after 20 s, and nobody is asked at once who has just refused", async () => {
  await withFolder(async (folder) => {
    let asked = 0;
    const silent = await fetched(folder, {
      address: () => "http://127.0.0.1:1/",
      fetch: (_, signal) => {
        asked++;
        return nothing(signal);
      },
    });
    expect(silent.end).toMatchObject({ code: "DATA_MISSING" });
    expect(silent.ms).toBeLessThanOrEqual(GIVE_UP_MS + SILENT_MS);
    expect(asked).toBeLessThanOrEqual(Math.ceil(GIVE_UP_MS / SILENT_MS) + 1);
    asked = 0;
    const refused = await fetched(folder, {
      address: () => "http://127.0.0.1:1/",
      fetch: async () => {
        asked++;
        return new Response(null, { status: 503 });
      },
    });
    expect(refused.end).toMatchObject({ code: "DATA_MISSING", message: expect.stringContaining("answers with 503") });
    expect(refused.ms).toBe(GIVE_UP_MS);
    expect(asked).toBe(GIVE_UP_MS / 500 + 1);
  });
});
