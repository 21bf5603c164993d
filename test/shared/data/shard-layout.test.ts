// Rules of a shard's bytes: what the sharder writes is what a decoder reads, and what is no shard is refused.

import fc from "fast-check";
import { expect, test } from "vitest";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { type Dataset, datasetSchema, MAX_SHARD_BYTES, MAX_SHARDS, shardBytes } from "../../../shared/data/dataset.ts";
import { labelOf, readShard, type SampleBytes, writeShard } from "../../../shared/data/shard-layout.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { encodeMessage, MAX_MESSAGE_BYTES, PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";

const shape = { h: 2, w: 3, c: 1 };
const raw = { format: { kind: "raw" } as const, shape };
const bytesOf = (chunk: number, targetBytes = 2) => ({
  format: { kind: "bytes", media: "image/jpeg", targetBytes, chunk } as const,
  shape,
});

function written(layout: Pick<Dataset, "format" | "shape">, samples: readonly SampleBytes[]): Uint8Array {
  const writer = writeShard(layout, samples.length);
  for (const sample of samples) writer.add(sample);
  return writer.take();
}

const sample = (content: readonly number[], ...target: number[]): SampleBytes => ({
  content: Uint8Array.from(content),
  target: Uint8Array.from(target),
});

test("a raw shard is all pixels, then all labels as u16 little-endian", () => {
  const shard = written(raw, [sample([1, 2, 3, 4, 5, 6], 7, 1), sample([9, 9, 9, 9, 9, 8], 0, 2)]);
  expect([...shard]).toEqual([1, 2, 3, 4, 5, 6, 9, 9, 9, 9, 9, 8, 7, 1, 0, 2]);
  expect(shard.length).toBe(shardBytes({ shape }, 2));
  const rows = readShard(raw, shard, 2, "it");
  expect([...rows(1).content]).toEqual([9, 9, 9, 9, 9, 8]);
  expect([0, 1].map((row) => labelOf(rows(row).target))).toEqual([263, 512]);
});

test("a chunk is offsets, targets and contents, and the next begins at a multiple of 16", () => {
  const shard = written(bytesOf(2), [sample([1], 7, 0), sample([2, 3], 8, 0), sample([4, 5, 6], 9, 0)]);
  const u32 = (...words: number[]) => words.flatMap((word) => [word, 0, 0, 0]);
  expect([...shard]).toEqual([
    ...[...u32(16, 17, 19), 7, 0, 8, 0, 1, 2, 3, ...new Array(13).fill(0)],
    ...[...u32(10, 13), 9, 0, 4, 5, 6, 0, 0, 0],
  ]);
});

test("whatever the contents, targets and chunks, every sample comes back as it was", () => {
  const content = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 5 }),
      fc.array(content, { minLength: 1, maxLength: 12 }),
      (chunk, targetBytes, contents) => {
        const layout = bytesOf(chunk, targetBytes);
        const samples = contents.map((bytes, i) => ({ content: bytes, target: new Uint8Array(targetBytes).fill(i) }));
        const rows = readShard(layout, written(layout, samples), samples.length, "it");
        expect(samples.map((_, row) => rows(row)).map(({ content, target }) => [[...content], [...target]])).toEqual(
          samples.map(({ content, target }) => [[...content], [...target]]),
        );
      },
    ),
  );
});

const good = written(bytesOf(2), [sample([1], 7, 0), sample([2, 3], 8, 0), sample([4, 5, 6], 9, 0)]);
function damaged(at: number, value: number): Uint8Array {
  const bytes = good.slice();
  bytes[at] = value;
  return bytes;
}

test.each([
  ["raw pixels that are too few", raw, new Uint8Array(15), 2, /it must be 16 bytes for 2 samples; got 15/],
  [
    "a chunk that ends in its head",
    bytesOf(2),
    good.slice(0, 40),
    3,
    /chunk 1 at byte 32 takes 10 bytes .* 8 are left/,
  ],
  ["a first content that lies elsewhere", bytesOf(2), damaged(0, 15), 3, /chunk 0 .* offset 0 is 15; expected 16$/],
  ["offsets that fall", bytesOf(2), damaged(8, 16), 3, /offset 2 is 16; expected 17 to 48/],
  ["a content past the end", bytesOf(2), damaged(36, 200), 3, /chunk 1 .* offset 1 is 200; expected 10 to 16/],
  [
    "bytes after the last chunk",
    bytesOf(2),
    new Uint8Array([...good, ...good]),
    3,
    /2 chunks take 48 bytes; it has 96/,
  ],
])("DATA_INVALID for %s", (_, layout, bytes, samples, message) => {
  expect(() => readShard(layout, bytes, samples, "it")).toThrow(
    expect.objectContaining({ code: "DATA_INVALID", message: expect.stringMatching(message) }),
  );
});

test("a writer that got fewer samples than it was to get gives no shard", () => {
  const writer = writeShard(bytesOf(2), 2);
  writer.add(sample([1], 0, 0));
  expect(() => writer.take()).toThrow(/2 samples was given 1/);
});

test("contents that would make a shard larger than MAX_SHARD_BYTES are refused by number and limit", () => {
  const writer = writeShard(bytesOf(8), 8);
  const content = new Uint8Array(MAX_SHARD_BYTES / 4);
  const add = () => writer.add({ content, target: new Uint8Array(2) });
  add();
  add();
  add();
  expect(add).toThrow(new RegExp(`4 of a shard's 8 samples take \\d+ bytes; a shard may have ${MAX_SHARD_BYTES}`));
});

test("a welcome with a data set of MAX_SHARDS shards is a control message that may be sent", () => {
  const split = (count: number, first: number) => ({
    samples: count * 2048,
    shards: Array.from({ length: count }, (_, i) => ({
      sha256: sha256Hex(Uint8Array.of(first + i, (first + i) >> 8)),
      samples: 2048,
      bytes: MAX_SHARD_BYTES,
    })),
  });
  const message = encodeMessage({
    type: "welcome",
    protocol: PROTOCOL_VERSION,
    ...{ worker: "w1", run: "run", runTag: "0".repeat(32), session: "it", heartbeatMs: 10_000, graceMs: 30_000 },
    config: parseConfig({}),
    program: phasesOf(parseConfig({})).outline,
    dataset: {
      ...{ name: "large", format: { kind: "raw" }, shape, classes: 1000, mean: [0.5], std: [0.5] },
      train: split(MAX_SHARDS - 50, 0),
      test: split(50, MAX_SHARDS),
    },
  });
  expect(message.length).toBeLessThan(MAX_MESSAGE_BYTES);
});

test("a manifest with too many shards, too large a shard or too large targets is refused", () => {
  const shard = (bytes: number) => ({ sha256: "0".repeat(64), samples: 1, bytes });
  const manifest = (shards: readonly object[], format: object = { kind: "raw" }) => ({
    ...{ name: "it", format, shape, classes: 2, mean: [0.5], std: [0.5] },
    train: { samples: shards.length, shards },
    test: { samples: 1, shards: [shard(8)] },
  });
  const refused = (value: unknown) => datasetSchema.safeParse(value).error?.issues.map(({ path }) => path.join("."));
  expect(refused(manifest([shard(8)]))).toBeUndefined();
  expect(refused(manifest(new Array(MAX_SHARDS + 1).fill(shard(8))))).toEqual(["train.shards"]);
  expect(refused(manifest([shard(MAX_SHARD_BYTES + 1)]))).toEqual(["train.shards.0.bytes"]);
  const format = (targetBytes: number, chunk: number) => ({ kind: "bytes", media: "image/jpeg", targetBytes, chunk });
  expect(refused(manifest([shard(8)], format(4096, 1024)))).toBeUndefined();
  expect(refused(manifest([shard(8)], format(4097, 1025)))).toEqual(["format.targetBytes", "format.chunk"]);
});
