// Rules of stores: the manifest is parsed strictly, and the samples of a split come back from its shards as they went
// in, chunk by chunk.

import { mkdir, readdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LocalStore } from "../../../coordinator/store/local-store.ts";
import {
  LONGEST_CLASS_NAME,
  MOST_MANIFEST_BYTES,
  parseManifest,
  type StoreManifest,
} from "../../../coordinator/store/manifest.ts";
import { escapeName, shardIndex } from "../../../coordinator/store/store-reader.ts";
import {
  requireFewShards,
  SHARD_CHUNKS,
  StoreWriter,
  samplesOfShard,
  USUAL_SHARD_BYTES,
} from "../../../coordinator/store/store-writer.ts";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { type BytesFormat, MAX_SHARD_BYTES, MAX_SHARDS, type Shard } from "../../../shared/data/dataset.ts";
import { readChunk, samplesOfChunk } from "../../../shared/data/shard-layout.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const sha256 = "0".repeat(64);
const sideFile = { sha256, bytes: 0 };
const manifest: StoreManifest = {
  format: "bitswarm-store",
  version: 1,
  layout: { kind: "folders", title: "an image folder", why: "folders of JPEG files" },
  options: { seed: 0, chunk: 8, short: 256, quality: 90, holdout: 0.1 },
  media: "image/jpeg",
  shape: { h: 256, w: 256, c: 3 },
  classes: [{ name: "cat", id: "n02121808" }, { name: "dog" }],
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  decoder: "libjpeg-turbo",
  splits: { train: { samples: 3, shards: [{ sha256, samples: 3, bytes: 100 }] } },
  converted: 0,
  rejected: 0,
  files: { "samples-train.tsv": sideFile, "converted.ndjson": sideFile, "rejected.ndjson": sideFile },
};
const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const shards = (...samples: number[]) => samples.map((count) => ({ sha256, samples: count, bytes: 100 }));

test("I20 a manifest comes back as it was written", () => {
  expect(parseManifest(bytesOf(manifest), "here")).toEqual(manifest);
});

test.each<[string, unknown, RegExp]>([
  ["no JSON", "{", /is no JSON/],
  ["another format", { ...manifest, format: "zip" }, /format: /],
  ["another version", { ...manifest, version: 2 }, /of version 2; this program reads version 1/],
  ["a field that nobody knows", { ...manifest, extra: 1 }, /extra/],
  ["a field that is missing", { ...manifest, media: undefined }, /media: /],
  ["one class", { ...manifest, classes: [{ name: "cat" }] }, /classes: /],
  [
    "a class's name that is too long",
    { ...manifest, classes: [{ name: "x".repeat(LONGEST_CLASS_NAME + 1) }, { name: "dog" }] },
    /classes: 0: name: /,
  ],
  [
    "more samples than its shards",
    { ...manifest, splits: { train: { samples: 4, shards: shards(3) } } },
    /train: has not as many samples/,
  ],
  [
    "uneven shards",
    { ...manifest, splits: { train: { samples: 6, shards: shards(2, 3, 1) } } },
    /different numbers of samples/,
  ],
  ["no hash of a side file", { ...manifest, files: {} }, /side file/],
  ["a mean too few", { ...manifest, mean: [0.5] }, /one mean/],
  [
    "a shard's name that is none",
    { ...manifest, splits: { train: { samples: 3, shards: [{ sha256: "../../etc", samples: 3, bytes: 9 }] } } },
    /shards: 0: sha256/,
  ],
])("I20 a manifest with %s is refused by name", (_, value, message) => {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : bytesOf(value);
  expect(() => parseManifest(bytes, "here")).toThrow(message);
  expect(() => parseManifest(bytes, "here")).toThrow(expect.objectContaining({ code: "DATA_INVALID" }));
});

test("I20 a manifest that is too long is refused before it is read", async () => {
  const folder = await scratchFolder();
  await writeFile(join(folder, "manifest.json"), "{}");
  await truncate(join(folder, "manifest.json"), MOST_MANIFEST_BYTES + 1);
  await expect(new LocalStore(folder).manifest()).rejects.toThrow(/67108865 bytes; at most 67108864/);
});

test("I20 without its manifest a folder is no store, and the error says what it is", async () => {
  const folder = await scratchFolder();
  await expect(new LocalStore(join(folder, "none")).manifest()).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringContaining("is not there"),
  });
  await expect(new LocalStore(folder).manifest()).rejects.toThrow(/has no manifest.json, so it is no store/);
  await mkdir(join(folder, "unfinished"));
  await expect(new LocalStore(folder).manifest()).rejects.toThrow(/has not ended: give the same import command again/);
});

const sampleOf = (i: number) => ({
  content: Uint8Array.from({ length: (i * 37) % 101 }, (_, at) => i + at),
  target: Uint8Array.of(i & 255, i >> 8),
});

async function written(folder: string, format: BytesFormat, samples: number, samplesPerShard: number) {
  await mkdir(join(folder, "shards"), { recursive: true });
  const writer = new StoreWriter(folder, { format, samples, samplesPerShard });
  for (let i = 0; i < samples; i++) await writer.add(sampleOf(i));
  return writer.shards;
}

async function readBack(folder: string, format: BytesFormat, list: readonly Shard[]) {
  const store = new LocalStore(folder);
  const options = { ...manifest.options, chunk: format.chunk };
  const found: { content: Uint8Array; target: Uint8Array }[] = [];
  for (const shard of list) {
    const index = await shardIndex(store, { media: "image/jpeg", options }, shard);
    for (let i = 0; i < index.chunks; i++) {
      const { begin, end, sha256: name } = index.chunk(i);
      const bytes = await store.range(shard, begin, end);
      expect(sha256Hex(bytes)).toBe(name);
      const count = samplesOfChunk(format, shard.samples, i);
      const rows = readChunk(format, bytes, count, "chunk");
      for (let row = 0; row < count; row++) found.push(rows(row));
    }
  }
  return found;
}

describe.each([1, 3, 8])("I21 in chunks of %i", (chunk) => {
  const format: BytesFormat = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk };

  test("samples come back from their shards in the order they were given", async () => {
    const folder = await scratchFolder();
    const list = await written(folder, format, 61, 4 * chunk);
    expect(list.slice(0, -1).every(({ samples }) => samples === 4 * chunk)).toBe(true);
    const found = await readBack(folder, format, list);
    expect(found).toEqual(Array.from({ length: 61 }, (_, i) => sampleOf(i)));
    expect((await readdir(join(folder, "shards"))).sort()).toEqual(list.map((shard) => shard.sha256).sort());
  });

  test("a writer that goes on after whole shards ends with the same", async () => {
    const [one, two] = [await scratchFolder(), await scratchFolder()];
    const whole = await written(one, format, 61, 4 * chunk);
    const begun = new StoreWriter(two, { format, samples: 61, samplesPerShard: 4 * chunk });
    await mkdir(join(two, "shards"));
    for (let i = 0; i < 30; i++) await begun.add(sampleOf(i));
    await begun.abandon();
    const plan = { format, samples: 61, samplesPerShard: 4 * chunk };
    const next = new StoreWriter(two, plan, begun.shards);
    for (let i = next.durable; i < 61; i++) await next.add(sampleOf(i));
    expect(next.shards).toEqual(whole);
  });
});

test("I21 a shard whose index is damaged does not pass for the one of its name", async () => {
  const folder = await scratchFolder();
  const format: BytesFormat = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 8 };
  const [shard] = await written(folder, format, 20, 64);
  const store = new LocalStore(folder);
  const other = { ...shard, sha256: "1".repeat(64) };
  await writeFile(store.shardPath(other), await store.range(shard, 0, shard.bytes));
  await expect(shardIndex(store, manifest, other)).rejects.toMatchObject({ code: "DATA_INVALID" });
  await expect(store.range(shard, 0, shard.bytes + 1)).rejects.toThrow(/ends after/);
  await expect(store.range({ ...shard, sha256: "2".repeat(64) }, 0, 1)).rejects.toMatchObject({ code: "DATA_MISSING" });
});

test("I21 shards have 256 chunks, fewer where samples are large, and no more than a manifest may have", () => {
  const format: BytesFormat = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 8 };
  expect(samplesOfShard(format, 33_000)).toBe(8 * SHARD_CHUNKS);
  for (const mean of [60_000, 300_000, 1_000_000]) {
    expect(samplesOfShard(format, mean) * mean).toBeLessThanOrEqual(USUAL_SHARD_BYTES);
  }
  const plan = { format, samples: MAX_SHARDS * 8 + 1, samplesPerShard: 8 };
  expect(() => requireFewShards(plan, "train")).toThrow(/10001 shards; the limit is 10000/);
  requireFewShards({ ...plan, samples: MAX_SHARDS * 8 }, "train");
});

test("I21 a shard that would be larger than any may be is refused", async () => {
  const folder = await scratchFolder();
  await mkdir(join(folder, "shards"));
  const format: BytesFormat = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 1 };
  const writer = new StoreWriter(folder, { format, samples: 5, samplesPerShard: 5 });
  const content = new Uint8Array(MAX_SHARD_BYTES / 4);
  const all = async () => {
    for (let i = 0; i < 5; i++) await writer.add({ content, target: Uint8Array.of(0, 0) });
  };
  await expect(all()).rejects.toThrow(/a shard may have 268435456: let --short/);
  await writer.abandon();
  expect(await readdir(join(folder, "shards"))).toEqual([]);
});

test("I21 a name in a list of samples is one field of one line", () => {
  expect(escapeName("a\tb\nc\\d\re")).toBe("a\\tb\\nc\\\\d\\re");
});
