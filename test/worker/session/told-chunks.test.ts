// What a worker says of the chunks that it holds, and when.

import { expect, test } from "vitest";
import type { Dataset } from "../../../shared/data/dataset.ts";
import type { WorkerMessage } from "../../../shared/wire/protocol.ts";
import { TELL_EVERY_MS, ToldChunks } from "../../../worker/session/told-chunks.ts";

const [first, second, tests] = ["a", "b", "c"].map((digit) => digit.repeat(64));
const SHARD = 20_000;

/** Two shards of 20,000 chunks each: more than one message tells of. */
const dataset: Dataset = {
  name: "chunked",
  format: { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 2 },
  shape: { h: 1, w: 1, c: 1 },
  classes: 2,
  mean: [0],
  std: [1],
  train: {
    samples: 4 * SHARD - 1,
    shards: [
      { sha256: first, samples: 2 * SHARD, bytes: 1 },
      { sha256: second, samples: 2 * SHARD - 1, bytes: 1 },
    ],
  },
  test: { samples: 4, shards: [{ sha256: tests, samples: 4, bytes: 1 }] },
};

function telling(of: Dataset = dataset) {
  const holds = new Map<string, Set<number>>();
  const said: WorkerMessage[] = [];
  let tick = () => {};
  let everyMs: number | undefined;
  const clock = {
    every: (ms: number, call: () => void) => {
      [everyMs, tick] = [ms, call];
      return () => {
        tick = () => {};
      };
    },
  };
  const told = new ToldChunks({ dataset: of, cache: { holds }, clock, send: (message) => said.push(message) });
  /** What was said since the last time: the chunks that it tells of, by its first. */
  const heard = () =>
    said.splice(0).map((message) => {
      if (message.type !== "chunks") throw new Error(`${message.type} was said`);
      const { from, bits } = message;
      const chunks = [...bits].flatMap((byte, i) =>
        [...Array(8).keys()].filter((b) => (byte >> b) & 1).map((b) => from + 8 * i + b),
      );
      return { from, bytes: bits.length, chunks };
    });
  return { told, holds, heard, tick: () => tick(), every: () => everyMs };
}

test("W18 a worker that joins or comes back says which chunks of the training split it holds, in parts", () => {
  const { told, holds, heard } = telling();
  told.tellAll();
  expect(heard()).toEqual([]);
  holds.set(first, new Set([0, 9]));
  holds.set(second, new Set([0, SHARD - 1]));
  holds.set(tests, new Set([0]));
  told.tellAll();
  const parts = [
    { from: 0, bytes: 4096, chunks: [0, 9, SHARD] },
    { from: 8 * 4096, bytes: (2 * SHARD - 8 * 4096) / 8, chunks: [2 * SHARD - 1] },
  ];
  expect(heard()).toEqual(parts);
  told.tellAll();
  expect(heard()).toEqual(parts);
  // Of what it held before nothing is left.
  holds.delete(second);
  told.tellAll();
  expect(heard()).toEqual([
    { from: 0, bytes: 4096, chunks: [0, 9] },
    { from: 8 * 4096, bytes: parts[1].bytes, chunks: [] },
  ]);
});

test("W19 each minute it tells of the parts in which it let something go, and of no others", () => {
  const { told, holds, heard, tick, every } = telling();
  expect(every()).toBe(TELL_EVERY_MS);
  holds.set(first, new Set([0, 9]));
  told.tellAll();
  heard();
  // What it fetched it was leased: the coordinator knows.
  holds.set(second, new Set([7, SHARD - 1]));
  tick();
  expect(heard()).toEqual([]);
  holds.get(second)?.delete(SHARD - 1);
  tick();
  expect(heard()).toEqual([{ from: 8 * 4096, bytes: 904, chunks: [] }]);
  tick();
  expect(heard()).toEqual([]);
  told.close();
  holds.clear();
  tick();
  expect(heard()).toEqual([]);
});

test("of raw shards a worker says nothing", () => {
  const { told, holds, heard, every } = telling({ ...dataset, format: { kind: "raw" } });
  holds.set(first, new Set([0]));
  told.tellAll();
  expect([heard(), every()]).toEqual([[], undefined]);
});
