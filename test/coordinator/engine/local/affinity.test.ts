// What the coordinator remembers of who holds which chunks, and what it makes of it.

import { expect, test } from "vitest";
import { Affinity } from "../../../../coordinator/engine/local/affinity.ts";
import { Holdings } from "../../../../coordinator/engine/local/holdings.ts";
import { RoundDriver } from "../../../../coordinator/engine/local/round-driver.ts";
import { InlineTraining } from "../../../../coordinator/training/inline-training.ts";
import type { RoundPlan } from "../../../../coordinator/training/round-plan.ts";
import { TrainingCore } from "../../../../coordinator/training/training-core.ts";
import { workerId } from "../../../../shared/base/ids.ts";
import type { Dataset } from "../../../../shared/data/dataset.ts";
import { firstChunks, MAX_TOLD_CHUNKS, toldChunks } from "../../../../shared/data/train-chunks.ts";
import { sampleOrder } from "../../../../shared/samples/sample-order.ts";
import { tinyConfig, tinyState } from "../../../fixtures/tiny-run.ts";

const [a, b] = ["a", "b"].map(workerId);
const shard = (digit: string, samples: number) => ({ sha256: digit.repeat(64), samples, bytes: 1 });

/** Three shards of 16 chunks of 4 samples, and at the end one of two and a half. */
const dataset: Dataset = {
  name: "chunked",
  format: { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 4 },
  shape: { h: 1, w: 1, c: 1 },
  classes: 2,
  mean: [0],
  std: [1],
  train: { samples: 202, shards: [shard("a", 64), shard("b", 64), shard("c", 64), shard("d", 10)] },
  test: { samples: 4, shards: [shard("e", 4)] },
};
const CHUNKS = 51;

function planOf(split: "train" | "test" = "train", to = 202): Pick<RoundPlan, "ranges" | "terms"> {
  const terms = { phase: "student", epoch: 3, split } as RoundPlan["terms"];
  return { ranges: [{ from: 0, to }], terms };
}

const bitsOf = (chunks: readonly number[]) => {
  const bits = new Uint8Array(Math.ceil(CHUNKS / 8));
  for (const chunk of chunks) bits[chunk >> 3] |= 1 << (chunk & 7);
  return bits;
};

test("chunks of the training split are numbered in the order of its samples", () => {
  expect(toldChunks(dataset)).toBe(CHUNKS);
  expect([...firstChunks(dataset).values()]).toEqual([0, 16, 32, 48]);
  expect(toldChunks({ ...dataset, format: { kind: "raw" } })).toBe(0);
  const large = (chunks: number) => ({ ...dataset, train: { samples: 4 * chunks, shards: [shard("a", 4 * chunks)] } });
  expect(toldChunks(large(MAX_TOLD_CHUNKS))).toBe(MAX_TOLD_CHUNKS);
  expect(toldChunks(large(MAX_TOLD_CHUNKS + 1))).toBe(0);
});

test("L58 what a worker says replaces what it said of the same chunks, and what it is leased is added", () => {
  const holdings = new Holdings(CHUNKS);
  const held = (worker: typeof a) => {
    const bits = holdings.of(worker) ?? new Uint8Array(0);
    return Array.from({ length: CHUNKS }, (_, chunk) => chunk).filter((chunk) => (bits[chunk >> 3] >> (chunk & 7)) & 1);
  };
  holdings.told(a, 0, bitsOf([0, 9, 50]));
  holdings.told(b, 0, bitsOf([9]));
  holdings.told(a, 8, Uint8Array.of(0b100));
  expect(held(a)).toEqual([0, 10, 50]);
  holdings.leased(a, [10, 11, 11]);
  expect(held(a)).toEqual([0, 10, 11, 50]);
  expect([0, 9, 10, 11, 50].map((chunk) => holdings.holders(chunk))).toEqual([1, 1, 1, 1, 1]);
  holdings.leased(a, [9]);
  expect(holdings.holders(9)).toBe(2);
  holdings.left(a);
  expect(holdings.of(a)).toBeUndefined();
  expect([0, 9, 10, 11, 50].map((chunk) => holdings.holders(chunk))).toEqual([0, 1, 0, 0, 0]);
});

test("L60 what a thousand workers hold of 160,000 chunks takes 20,000 bytes each, and nothing once they left", () => {
  const affinity = new Affinity({
    wanted: true,
    seed: 0,
    microbatch: 32,
    dataset: { ...dataset, train: { samples: 4 * 160_000, shards: [shard("a", 4 * 160_000)] } },
  });
  const workers = Array.from({ length: 1000 }, (_, i) => workerId(`w${i}`));
  for (const worker of workers) affinity.told(worker, 8 * 4096, new Uint8Array(4096).fill(0x55));
  expect(affinity.bytes).toBe(1000 * 20_000);
  for (const worker of workers) affinity.left(worker);
  expect(affinity.bytes).toBe(0);
});

test("L54 positions are leased by the chunks that the pass's order puts there", () => {
  const affinity = new Affinity({ wanted: true, seed: 7, microbatch: 8, dataset });
  const order = sampleOrder(7, dataset, { phase: "student", epoch: 3, split: "train" });
  // Of microbatch 20 it holds both chunks, of 11 the second.
  const chunks = [20 * 8, 20 * 8 + 4, 11 * 8 + 4].map((position) => Math.floor(order(position) / 4));
  affinity.told(a, 0, bitsOf(chunks));
  const slots = affinity.open(planOf());
  slots.settle(a, { from: 0, to: 8 });
  expect(slots.positionsOf({ from: 0, to: 8 })).toEqual([{ from: 160, to: 168 }]);
  slots.settle(a, { from: 8, to: 16 });
  expect(slots.positionsOf({ from: 8, to: 16 })).toEqual([{ from: 88, to: 96 }]);
  // What it was leased it holds in the next round.
  affinity.leased(b, [{ from: 40, to: 48 }]);
  const next = affinity.open(planOf());
  next.settle(b, { from: 0, to: 8 });
  expect(next.positionsOf({ from: 0, to: 8 })).toEqual([{ from: 40, to: 48 }]);
});

test("A40 where a run draws several samples of each clip, who holds the clip is asked first for each of them", () => {
  const shards = [shard("a", 64), shard("b", 26)];
  const clips: Dataset = {
    ...dataset,
    format: { kind: "bytes", media: "clip", targetBytes: 2, chunk: 1 },
    train: { samples: 270, draws: 3, shards },
  };
  expect(toldChunks(clips)).toBe(90);
  const affinity = new Affinity({ wanted: true, seed: 7, microbatch: 2, dataset: clips });
  const order = sampleOrder(7, clips, { phase: "student", epoch: 3, split: "train" });
  // The last draw's first microbatch: clips 0 to 89 stand in another order in each.
  const bits = new Uint8Array(12);
  for (const position of [180, 181]) {
    const clip = order(position) % 90;
    bits[clip >> 3] |= 1 << (clip & 7);
  }
  affinity.told(a, 0, bits);
  const slots = affinity.open(planOf("train", 270));
  slots.settle(a, { from: 0, to: 2 });
  expect(slots.positionsOf({ from: 0, to: 2 })).toEqual([{ from: 180, to: 182 }]);
});

test("an evaluation, raw shards and `lease.affinity` false are leased in the order of their positions", () => {
  const all = bitsOf([...Array(CHUNKS).keys()].slice(20));
  const plain = [
    new Affinity({ wanted: true, seed: 7, microbatch: 8, dataset }).open(planOf("test", 4)),
    ...[
      { wanted: false, dataset },
      { wanted: true, dataset: { ...dataset, format: { kind: "raw" } } as const },
    ].map((options) => {
      const affinity = new Affinity({ seed: 7, microbatch: 8, ...options });
      affinity.told(a, 0, all);
      return affinity.open(planOf());
    }),
  ];
  for (const slots of plain) {
    slots.settle(a, { from: 0, to: 4 });
    expect(slots.positionsOf({ from: 0, to: 4 })).toEqual([{ from: 0, to: 4 }]);
  }
});

test("L58 what a worker holds is remembered while its connection is lost, and forgotten when it leaves", () => {
  const affinity = new Affinity({ wanted: true, seed: 0, microbatch: 8, dataset });
  const nothing = () => undefined;
  const state = tinyState(tinyConfig());
  const driver = new RoundDriver({
    training: new InlineTraining(new TrainingCore(state, "7".repeat(32))),
    clock: { now: () => 0, after: () => nothing, every: () => nothing },
    microbatch: 8,
    lease: state.config.lease,
    outbox: { lease: nothing, accepted: nothing, rejected: nothing, dismissed: () => undefined, cancelled: nothing },
    affinity,
    onRequeue: nothing,
    onBackup: nothing,
  });
  driver.join(a);
  driver.holds(a, { from: 0, bits: Uint8Array.of(1) });
  driver.suspend(a);
  driver.resume(a);
  expect(affinity.bytes).toBe(Math.ceil(CHUNKS / 8));
  driver.leave(a);
  expect(affinity.bytes).toBe(0);
});
