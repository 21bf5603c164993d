// Rules of a shard's bytes: what the sharder writes is what a decoder reads, and what is no shard is refused.

import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { type Dataset, datasetSchema, MAX_SHARD_BYTES, MAX_SHARDS, shardBytes } from "../../../shared/data/dataset.ts";
import {
  chunkCount,
  indexBytes,
  labelOf,
  readChunk,
  readIndex,
  readShard,
  type SampleBytes,
  writeShard,
} from "../../../shared/data/shard-layout.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { MAX_MESSAGE_BYTES } from "../../../shared/wire/plain-message.ts";
import { encodeMessage, PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";

const shape = { h: 2, w: 3, c: 1 };
const raw = { format: { kind: "raw" } as const, shape };
const bytesOf = (chunk: number, targetBytes = 2) => ({
  format: { kind: "bytes", media: "image/jpeg", targetBytes, chunk } as const,
  shape,
});

function written(layout: Pick<Dataset, "format" | "shape">, samples: readonly SampleBytes[]): Uint8Array {
  const writer = writeShard(layout, samples.length);
  for (const sample of samples) writer.add(sample);
  return writer.take().bytes;
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

const u32 = (...words: number[]) => words.flatMap((word) => [word & 255, (word >> 8) & 255, 0, 0]);

test("B10 a shard is an index of offsets and hashes, then chunks of offsets, targets and contents, each of whole 16 bytes", () => {
  const writer = writeShard(bytesOf(2), 3);
  for (const one of [sample([1], 7, 0), sample([2, 3], 8, 0), sample([4, 5, 6], 9, 0)]) writer.add(one);
  const { bytes, sha256, index } = writer.take();
  const first = [...u32(16, 17, 19), 7, 0, 8, 0, 1, 2, 3, ...new Array(13).fill(0)];
  const second = [...u32(10, 13), 9, 0, 4, 5, 6, 0, 0, 0];
  const hash = (chunk: number[]) => [...createHash("sha256").update(Uint8Array.from(chunk)).digest()];
  expect([...index]).toEqual([...u32(80), ...hash(first), ...u32(112), ...hash(second), ...new Array(8).fill(0)]);
  expect([...bytes]).toEqual([...index, ...first, ...second]);
  expect(sha256).toBe(createHash("sha256").update(index).digest("hex"));
});

test("an index says of each chunk where it lies and what it hashes to, and a chunk is read without the others", () => {
  const { format } = bytesOf(2);
  const shard = { samples: 3, bytes: good.length };
  expect([chunkCount(format, 3), indexBytes(format, 3), indexBytes({ kind: "raw" }, 3)]).toEqual([2, 80, 0]);
  const index = readIndex(format, shard, good.subarray(0, 80), "it");
  expect(index.chunks).toBe(2);
  expect([0, 1].map((i) => index.chunk(i))).toEqual([
    { begin: 80, end: 112, sha256: sha256Hex(good.subarray(80, 112)) },
    { begin: 112, end: 128, sha256: sha256Hex(good.subarray(112)) },
  ]);
  expect(() => index.chunk(2)).toThrow(RangeError);
  const rows = readChunk(format, good.slice(112), 1, "it");
  expect([[...rows(0).content], [...rows(0).target]]).toEqual([
    [4, 5, 6],
    [9, 0],
  ]);
});

const anyLayout = fc.record({
  chunk: fc.integer({ min: 1, max: 5 }),
  targets: fc.integer({ min: 0, max: 5 }),
  contents: fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 12 }),
});

test("whatever the contents, targets and chunks, every sample comes back as it was, from the whole and from its chunk", () => {
  fc.assert(
    fc.property(anyLayout, ({ chunk, targets, contents }) => {
      const layout = bytesOf(chunk, targets);
      const samples = contents.map((bytes, i) => ({ content: bytes, target: new Uint8Array(targets).fill(i) }));
      const shard = written(layout, samples);
      const rows = readShard(layout, shard, samples.length, "it");
      const head = shard.subarray(0, indexBytes(layout.format, samples.length));
      const index = readIndex(layout.format, { samples: samples.length, bytes: shard.length }, head, "it");
      samples.forEach(({ content, target }, row) => {
        const { begin, end, sha256 } = index.chunk(Math.floor(row / chunk));
        const alone = shard.slice(begin, end);
        expect(sha256Hex(alone)).toBe(sha256);
        const count = Math.min(chunk, samples.length - (row - (row % chunk)));
        for (const read of [rows(row), readChunk(layout.format, alone, count, "it")(row % chunk)]) {
          expect([[...read.content], [...read.target]]).toEqual([[...content], [...target]]);
        }
      });
    }),
  );
});

test("B11 whatever bytes come as an index, a chunk or a shard, each sample lies in them or they are DATA_INVALID", () => {
  const place = fc.tuple(fc.nat(200), fc.oneof(fc.constantFrom(0, 15, 16, 17, 255), fc.nat(255)));
  const format = bytesOf(2).format;
  let refused = 0;
  const within = (bytes: Uint8Array, read: () => SampleBytes[]) => {
    try {
      for (const { content, target } of read()) {
        expect(content.byteOffset - bytes.byteOffset + content.length).toBeLessThanOrEqual(bytes.length);
        expect(target.length).toBe(2);
      }
    } catch (error) {
      if (!(error instanceof BitswarmError) || error.code !== "DATA_INVALID") throw error;
      refused++;
    }
  };
  const rowsOf = (rows: (row: number) => SampleBytes, n: number) => Array.from({ length: n }, (_, row) => rows(row));
  fc.assert(
    fc.property(fc.array(place, { maxLength: 3 }), fc.nat(140), fc.nat(9), (damage, length, samples) => {
      const bytes = new Uint8Array(length);
      bytes.set(good.subarray(0, length));
      for (const [at, value] of damage) if (at < length) bytes[at] = value;
      within(bytes, () => rowsOf(readShard(bytesOf(2), bytes, samples + 1, "it"), samples + 1));
      within(bytes, () => rowsOf(readChunk(format, bytes, samples + 1, "it"), samples + 1));
      within(bytes, () => {
        const index = readIndex(format, { samples: samples + 1, bytes: good.length }, bytes, "it");
        for (let i = 0; i < index.chunks; i++) {
          const { begin, end } = index.chunk(i);
          expect(begin).toBeGreaterThanOrEqual(bytes.length);
          expect(end).toBeGreaterThan(begin);
          expect(end).toBeLessThanOrEqual(good.length);
        }
        return [];
      });
    }),
    { numRuns: 2000 },
  );
  expect(refused).toBeGreaterThan(1000);
});

const good = written(bytesOf(2), [sample([1], 7, 0), sample([2, 3], 8, 0), sample([4, 5, 6], 9, 0)]);
function damaged(at: number, value: number): Uint8Array {
  const bytes = good.slice();
  bytes[at] = value;
  return bytes;
}

test.each([
  ["raw pixels that are too few", raw, new Uint8Array(15), 2, /it must be 16 bytes for 2 samples; got 15/],
  ["a shard that ends in its index", bytesOf(2), good.slice(0, 79), 3, /its index must be 80 bytes for 3 .* got 79/],
  ["a first chunk that lies elsewhere", bytesOf(2), damaged(0, 96), 3, /beginning of chunk 0 is 96; expected 80$/],
  ["a chunk that begins in another", bytesOf(2), damaged(36, 80), 3, /chunk 1 is 80; expected a multiple .* 96 on/],
  ["a chunk that is not aligned", bytesOf(2), damaged(36, 113), 3, /chunk 1 is 113; expected a multiple of 16/],
  ["a chunk past the end", bytesOf(2), damaged(36, 144), 3, /the shard's end is 128; expected a multiple .* 160 on/],
  ["an index with more than zeros behind it", bytesOf(2), damaged(75, 1), 3, /index: byte 75 of its padding is 1/],
  ["a chunk that ends early", bytesOf(2), good.slice(0, 120), 3, /the shard's end is 120; expected a multiple of 16/],
  ["a first content that lies elsewhere", bytesOf(2), damaged(80, 15), 3, /chunk 0 .* offset 0 is 15; expected 16$/],
  ["offsets that fall", bytesOf(2), damaged(88, 16), 3, /offset 2 is 16; expected 17 to 32/],
  ["a content past the chunk's end", bytesOf(2), damaged(116, 200), 3, /chunk 1 .* offset 1 is 200; expected 10 to 16/],
  [
    "contents that end early",
    bytesOf(1),
    written(bytesOf(1), [sample([1], 7, 0)]).fill(10, 52, 53),
    1,
    /padding is 1;/,
  ],
  ["a chunk with more than zeros behind it", bytesOf(2), damaged(127, 7), 3, /byte 15 of its padding is 7/],
  [
    "bytes after the last chunk",
    bytesOf(2),
    new Uint8Array([...good, ...good]),
    3,
    /contents end at byte 13 of 144; expected 16 bytes/,
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
