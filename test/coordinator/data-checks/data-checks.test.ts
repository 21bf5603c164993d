// The checks of a run, with a decoding that the test holds back: who waits for what, and what is believed.

import { expect, test } from "vitest";
import { CHECK_PATIENCE_MS, DataChecks } from "../../../coordinator/data-checks/data-checks.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { leaseId } from "../../../shared/base/ids.ts";
import type { Decoding } from "../../../shared/samples/decoding.ts";
import { tinyConfig, tinyDataset } from "../../fixtures/tiny-run.ts";

const config = tinyConfig({ microbatch: 8, batch: 16, data: { kind: "idx", trainSamples: 64, testSamples: 16 } });
const dataset = tinyDataset(config);
const terms = (from: number, to: number) => ({
  phase: "student",
  epoch: 0,
  split: "train" as const,
  ranges: [{ from, to }],
});

function checks(answer: (samples: readonly number[]) => number = (samples) => samples.length) {
  const asked: { samples: readonly number[]; go: () => void }[] = [];
  const decoding: Decoding = {
    piecesOf: () => [],
    decode: (_, samples) =>
      new Promise((resolve, reject) => {
        const go = () => {
          try {
            resolve({ input: {}, checksum: answer(samples) });
          } catch (error) {
            reject(error);
          }
        };
        asked.push({ samples, go });
      }),
    close: () => undefined,
  };
  let now = 0;
  const timers: { at: number; run: () => void }[] = [];
  const notices: string[] = [];
  const made = new DataChecks({
    config,
    dataset,
    decoding,
    hold: async () => new Map(),
    clock: {
      now: () => now,
      after: (ms, run) => {
        const timer = { at: now + ms, run };
        timers.push(timer);
        return () => void timers.splice(timers.indexOf(timer), 1);
      },
    },
    draw: () => 0,
    onNotice: (message) => notices.push(message),
  });
  const pass = (ms: number) => {
    now += ms;
    for (const timer of timers.filter(({ at }) => at <= now)) timer.run();
  };
  const settle = async () => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  const goOn = async () => {
    await settle();
    asked.shift()?.go();
    await settle();
  };
  return { made, asked, notices, pass, goOn, settle };
}

const one = { lease: leaseId(1), account: "a" };
const two = { lease: leaseId(2), account: "a" };
const other = { lease: leaseId(3), account: "b" };

test("a lease's microbatches are decoded one after another, and their checksums added up", async () => {
  const { made, asked, goOn, settle } = checks();
  made.granted(one, terms(0, 20), false);
  await settle();
  expect(asked).toHaveLength(1);
  const sizes: number[] = [];
  for (let i = 0; i < 3; i++) {
    await settle();
    sizes.push(asked[0]!.samples.length);
    expect(made.checksum(one.lease)).toBeUndefined();
    await goOn();
  }
  expect(sizes).toEqual([8, 8, 4]);
  expect(made.checksum(one.lease)).toBe(20);
  expect(made.pending(one)).toBeUndefined();
});

test("C21 an answer waits for the check of its lease and of its account's earlier ones, and nobody else's does", async () => {
  const { made, goOn, settle } = checks();
  made.granted(one, terms(0, 8), false);
  await goOn();
  made.granted(two, terms(8, 16), false);
  const later = { lease: leaseId(4), account: "a" };
  let waited = false;
  made.pending(later)?.then(() => {
    waited = true;
  });
  expect(made.pending(one)).toBeUndefined();
  expect(made.pending({ ...other, lease: leaseId(5) })).toBeUndefined();
  await settle();
  expect(waited).toBe(false);
  await goOn();
  expect(waited).toBe(true);
});

test("C21 nobody waits for longer than is said", async () => {
  const { made, pass, settle } = checks();
  made.granted(one, terms(0, 8), false);
  let waited = false;
  made.pending(one)?.then(() => {
    waited = true;
  });
  pass(CHECK_PATIENCE_MS - 1);
  await settle();
  expect(waited).toBe(false);
  pass(1);
  await settle();
  expect(waited).toBe(true);
  expect(made.checksum(one.lease)).toBeUndefined();
});

test("C22 what cannot be decoded here has no checksum, and the operator is told once", async () => {
  const { made, notices, goOn } = checks(() => {
    throw new BitswarmError("DATA_MISSING", "shard abc is gone");
  });
  made.granted(one, terms(0, 8), false);
  await goOn();
  made.granted(other, terms(8, 16), false);
  await goOn();
  expect([made.checksum(one.lease), made.checksum(other.lease)]).toEqual([undefined, undefined]);
  expect(made.pending(other)).toBeUndefined();
  expect(notices).toEqual([expect.stringMatching(/believed without a look at their samples: shard abc is gone/)]);
});

test("the same range is decoded once, for the lease and for its audit's copy", async () => {
  const { made, asked, goOn, settle } = checks();
  made.granted(one, terms(0, 8), true);
  made.granted(other, terms(0, 8), true);
  await goOn();
  await settle();
  expect(asked).toEqual([]);
  expect([made.checksum(one.lease), made.checksum(other.lease)]).toEqual([8, 8]);
});

test("what nobody asks for any more is not decoded to its end", async () => {
  const { made, asked, goOn, settle } = checks();
  made.granted(one, terms(0, 32), false);
  await settle();
  made.over(one.lease);
  await goOn();
  await settle();
  expect(asked).toEqual([]);
  expect(made.checksum(one.lease)).toBeUndefined();
});
