// Shards that another coordinator sends: fetched once, kept, and never believed unless they are what their name says.

import { expect, test } from "vitest";
import { FarShards } from "../../../coordinator/data/far-shards.ts";
import { ShardStore } from "../../../coordinator/data/shard-store.ts";
import { contentHash } from "../../../coordinator/disk/content-hash.ts";
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
