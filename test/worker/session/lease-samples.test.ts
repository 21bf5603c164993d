// The samples of a lease: fetched and decoded a few microbatches ahead of the GPU, and never more.

import { expect, test } from "vitest";
import { type Dataset, MEDIA_JPEG } from "../../../shared/data/dataset.ts";
import type { Piece } from "../../../shared/data/piece.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import type { Decoding } from "../../../shared/samples/decoding.ts";
import { sampleSource } from "../../../shared/samples/sample-source.ts";
import { DECODED_AHEAD, FETCHED_AHEAD, LeaseSamples } from "../../../worker/session/lease-samples.ts";
import { leaseOf } from "./scripted-run.ts";

const SAMPLES = 64;
const config = parseConfig({ microbatch: 4, batch: 4, data: { kind: "idx" } });
const shard = { sha256: "ab".repeat(32), samples: SAMPLES, bytes: 1 };
const split = { samples: SAMPLES, shards: [shard] };
const chunks: Dataset = {
  name: "kept",
  format: { kind: "bytes", media: MEDIA_JPEG, targetBytes: 2, chunk: 4 },
  shape: { h: 8, w: 8, c: 3 },
  classes: 10,
  mean: [0, 0, 0],
  std: [1, 1, 1],
  train: split,
  test: split,
};

/** A lease of all samples, with a decoding and a cache that note what they are asked. */
function leased(dataset: Dataset, refuse: (first: number) => boolean = () => false) {
  const decoded: number[] = [];
  const held: (readonly Piece[])[] = [];
  const decoding: Decoding = {
    piecesOf: sampleSource(dataset).piecesOf,
    decode: async (_, samples) => {
      decoded.push(samples[0]!);
      if (refuse(samples[0]!)) throw new Error(`sample ${samples[0]} is damaged`);
      return { input: { image: Uint8Array.from(samples) }, checksum: samples.reduce((sum, sample) => sum + sample, 0) };
    },
    close: () => undefined,
  };
  const hold = async (pieces: readonly Piece[]) => {
    held.push(pieces);
    return new Map();
  };
  const lease = { ...leaseOf(1, "cd".repeat(32)), split: "test" as const, ranges: [{ from: 0, to: SAMPLES }] };
  const samples = new LeaseSamples(lease, { config, dataset, decoding, cache: { hold } });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { samples, decoded, held, settle };
}

test("what comes next is decoded and fetched before it is asked for, so many microbatches and no more", async () => {
  const { samples, decoded, held, settle } = leased(chunks);
  await samples.ready();
  await settle();
  expect(decoded).toEqual([0, 4, 8].slice(0, DECODED_AHEAD));
  expect(held).toHaveLength(FETCHED_AHEAD);
  // Nobody takes any: nothing more is begun.
  await settle();
  expect(held).toHaveLength(FETCHED_AHEAD);
  for (let from = 0; from < SAMPLES; from += 4) {
    expect((await samples.input(from)).image).toEqual(Uint8Array.of(from, from + 1, from + 2, from + 3));
    await settle();
    expect(decoded.length).toBe(Math.min(SAMPLES / 4, from / 4 + 1 + DECODED_AHEAD));
    expect(held.length).toBe(Math.min(SAMPLES / 4, from / 4 + 1 + FETCHED_AHEAD));
  }
  // Each chunk was asked for once, by the microbatch that it serves.
  expect(held.flat().map(({ chunk }) => chunk)).toEqual(Array.from({ length: SAMPLES / 4 }, (_, i) => i));
  expect(samples.checksum).toBe((SAMPLES * (SAMPLES - 1)) / 2);
});

test("a lease that is computed anew is decoded anew, and its samples count once", async () => {
  const { samples } = leased(chunks);
  for (const from of [0, 4, 8, 0, 4, 8]) await samples.input(from);
  expect(samples.checksum).toBe(66);
});

test("raw shards serve the whole lease, and are asked for once", async () => {
  const { samples, held, settle } = leased({ ...chunks, format: { kind: "raw" } });
  for (let from = 0; from < SAMPLES; from += 4) await samples.input(from);
  await settle();
  expect(held.map((pieces) => pieces.map(({ key }) => key))).toEqual([[shard.sha256]]);
});

test("a sample that cannot be decoded is heard of by whoever asks for its microbatch, and by nobody before", async () => {
  const { samples, settle } = leased(chunks, (first) => first === 8);
  await samples.input(0);
  await settle();
  await samples.input(4);
  await expect(samples.input(8)).rejects.toThrow("sample 8 is damaged");
});
