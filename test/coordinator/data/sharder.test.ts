// Rules of the sharder: whatever an importer gives becomes shards of one form, or is refused by file, sample and value.

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Sample, SampleSource, SplitSource } from "../../../coordinator/data/importers/importer.ts";
import { ShardStore } from "../../../coordinator/data/shard-store.ts";
import { RAW_SHARD_BYTES, SHARD_SAMPLES, shardDataset } from "../../../coordinator/data/sharder.ts";
import { datasetSchema, MAX_SHARDS, shardBytes } from "../../../shared/data/dataset.ts";
import { labelOf, readShard } from "../../../shared/data/shard-layout.ts";

async function freshStore() {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-shards-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return { folder, store: new ShardStore(folder) };
}

/** A split of so many samples; `count` of them come. */
function split(samples: number, sample: (i: number) => Sample, origin = "made.bin", count = samples): SplitSource {
  return {
    samples,
    origin,
    read: function* () {
      for (let i = 0; i < count; i++) yield sample(i);
    },
  };
}

const pixel = (i: number): Sample => ({ content: Uint8Array.of(i, i + 1), target: i % 3 });

function source(overrides: Partial<SampleSource> = {}): SampleSource {
  return {
    format: { kind: "raw" },
    shape: { h: 1, w: 2, c: 1 },
    classes: 3,
    normalisation: { mean: [0.5], std: [0.25] },
    train: split(5, pixel),
    test: split(4, pixel),
    ...overrides,
  };
}

const all = { train: 1e9, test: 1e9 };
const encoded = { kind: "bytes", media: "text/plain", targetBytes: 3, chunk: 4 } as const;

test("the first samples of a split are used, no more are read, and the files are let go of", async () => {
  const { store } = await freshStore();
  let read = 0;
  let released = false;
  const train: SplitSource = {
    samples: 5,
    origin: "made.bin",
    read: async function* () {
      try {
        for (let i = 0; i < 5; i++) {
          read++;
          yield pixel(i);
        }
      } finally {
        released = true;
      }
    },
  };
  const { dataset } = await shardDataset("made", source({ train }), { train: 2, test: 9 }, store);
  expect([dataset.train.samples, dataset.test.samples, read, released]).toEqual([2, 4, 2, true]);
});

test("an importer may give every sample in the same bytes", async () => {
  const { store } = await freshStore();
  const shared = new Uint8Array(2);
  const train = split(3, (i) => ({ content: shared.fill(10 + i), target: i }));
  const { dataset } = await shardDataset("made", source({ train }), all, store);
  const [{ sha256, bytes }] = dataset.train.shards;
  const stored = await store.find({ sha256, bytes });
  expect([...new Uint8Array(await new Response(stored?.stream()).arrayBuffer())]).toEqual([
    10, 10, 11, 11, 12, 12, 0, 0, 1, 0, 2, 0,
  ]);
});

test("contents of any length with bytes for the task become chunks, in shards of whole chunks", async () => {
  const { store } = await freshStore();
  const content = (i: number) => new TextEncoder().encode("x".repeat(i % 7) + i);
  const samples = split(SHARD_SAMPLES + 6, (i) => ({ content: content(i), target: Uint8Array.of(i, i >> 8, 77) }));
  const chunked = source({ format: { ...encoded, chunk: 100 }, classes: 0, train: samples, test: samples });
  const { dataset } = await shardDataset("made", chunked, all, store);
  expect(datasetSchema.parse(dataset)).toEqual(dataset);
  expect(dataset.train.shards.map((shard) => shard.samples)).toEqual([2000, 54]);
  const stored = await store.find(dataset.train.shards[1]);
  const rows = readShard(dataset, new Uint8Array(await new Response(stored?.stream()).arrayBuffer()), 54, "it");
  expect(new TextDecoder().decode(rows(53).content)).toBe(new TextDecoder().decode(content(2053)));
  expect([...rows(53).target]).toEqual([2053 & 255, 8, 77]);
});

test("encoded images may have labels", async () => {
  const { store } = await freshStore();
  const samples = split(3, (i) => ({ content: Uint8Array.of(i), target: 500 + i }));
  const labelled = source({ format: { ...encoded, targetBytes: 2 }, classes: 503, train: samples, test: samples });
  const { train, ...dataset } = (await shardDataset("made", labelled, all, store)).dataset;
  const stored = await store.find(train.shards[0]);
  const rows = readShard(dataset, new Uint8Array(await new Response(stored?.stream()).arrayBuffer()), 3, "it");
  expect([0, 1, 2].map((row) => labelOf(rows(row).target))).toEqual([500, 501, 502]);
});

test("large raw pictures come in fewer a shard", async () => {
  const { store } = await freshStore();
  const shape = { h: 1024, w: 4096, c: 4 };
  const image = new Uint8Array(shape.h * shape.w * shape.c);
  const samples = split(4, (i) => ({ content: image.fill(i, 0, 9), target: i % 3 }));
  const { train } = (await shardDataset("made", source({ shape, train: samples, test: samples }), all, store)).dataset;
  expect(train.shards.map((shard) => shard.samples)).toEqual([3, 1]);
  expect(shardBytes({ shape }, 4)).toBeGreaterThan(RAW_SHARD_BYTES);
});

test("no more than one shard is held in memory: each is in the store before the next is begun", async () => {
  const { store } = await freshStore();
  const stored: number[] = [];
  const watching = {
    put: async (bytes: Uint8Array, sha256?: string) => {
      stored.push(given);
      return store.put(bytes, sha256);
    },
  };
  let given = 0;
  const train = split(SHARD_SAMPLES * 2 + 1, (i) => {
    given = i + 1;
    return pixel(i);
  });
  await shardDataset("made", source({ train, test: split(1, pixel) }), all, watching);
  expect(stored).toEqual([SHARD_SAMPLES, 2 * SHARD_SAMPLES, 2 * SHARD_SAMPLES + 1, 2 * SHARD_SAMPLES + 1]);
});

test.each([
  [
    "a sample of another size",
    { train: split(2, () => ({ content: new Uint8Array(3), target: 0 })) },
    /made\.bin: sample 0 has 3 bytes; expected 2/,
  ],
  [
    "a label beyond the classes",
    { test: split(4, (i) => ({ content: new Uint8Array(2), target: i })) },
    /sample 3 has label 3; expected .* 0 to 2/,
  ],
  [
    "a label that is no integer",
    { train: split(1, () => ({ content: new Uint8Array(2), target: 0.5 })) },
    /sample 0 has label 0\.5/,
  ],
  [
    "a label that u16 cannot hold",
    { classes: 65_536, train: split(1, () => ({ content: new Uint8Array(2), target: 65_536 })) },
    /label 65536; expected .* 65535/,
  ],
  [
    "targets of bytes beside raw pixels",
    { train: split(1, () => ({ content: new Uint8Array(2), target: new Uint8Array(2) })) },
    /sample 0 has a target of 2 bytes/,
  ],
  [
    "targets of another length than announced",
    { format: encoded, train: split(1, () => ({ content: new Uint8Array(2), target: new Uint8Array(4) })) },
    /sample 0 has a target of 4 bytes; expected 3/,
  ],
  ["a label where the task reads other bytes", { format: encoded, train: split(1, pixel) }, /sample 0 has label 0/],
  ["files that end early", { train: split(5, pixel, "made.bin", 3) }, /made\.bin: ends after 3 samples; expected 5/],
  ["an empty split", { test: split(0, pixel) }, /made\.bin: has no samples/],
  [
    "images larger than a shard",
    { shape: { h: 2 ** 15, w: 2 ** 15, c: 1 } },
    /made\.bin: an image of 32768×32768×1 takes 1073741826 bytes; the limit is 268435456/,
  ],
  [
    "more shards than a manifest holds",
    { train: split(MAX_SHARDS * SHARD_SAMPLES - 2000, pixel) },
    /20478000 \+ 4 samples in shards of 2048 are 10001 shards; the limit is 10000: lower data\.trainSamples/,
  ],
  [
    "pictures of one colour",
    { normalisation: "from-pixels", train: split(2, () => ({ content: Uint8Array.of(8, 8), target: 1 })) },
    /made\.bin: every pixel is 8/,
  ],
] as const)("DATA_INVALID for %s", async (_, overrides, message) => {
  const { store } = await freshStore();
  await expect(shardDataset("made", source(overrides as Partial<SampleSource>), all, store)).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(message),
  });
});

test("labels of which a split has no sample are told, of what the run uses", async () => {
  const { store } = await freshStore();
  const { dataset, unseen } = await shardDataset("made", source({ classes: 5 }), { train: 2, test: 9 }, store);
  expect(dataset.classes).toBe(5);
  expect(unseen).toEqual({ train: [2, 3, 4], test: [3, 4] });
});

test("an importer of encoded images that asks for the mean of its pixels is a mistake of the program", async () => {
  const { folder, store } = await freshStore();
  const wrong = source({ format: encoded, normalisation: "from-pixels" });
  await expect(shardDataset("made", wrong, all, store)).rejects.toThrow(/text\/plain cannot be counted/);
  expect(await readdir(folder)).toEqual([]);
});
