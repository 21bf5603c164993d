// How large a contribution may be, by whoever there is to measure it by.

import { expect, test } from "vitest";
import type { OpenRound } from "../../../coordinator/sum/open-round.ts";
import { OUTLIER_FACTOR, PEAK_FACTOR } from "../../../coordinator/trust/clip-rule.ts";
import type { NormHistories } from "../../../coordinator/trust/norm-history.ts";
import { LONE_GROWTH, nextPeaks, PEAK_FALL, type PeakMedians } from "../../../coordinator/trust/peak-medians.ts";
import {
  ABSURD_FACTOR,
  EARLY_FACTOR,
  FIRST_NORM,
  JUMP_ACCOUNTS,
  LONE_PATIENCE,
  SizeJudge,
} from "../../../coordinator/trust/size-judge.ts";
import { ceilingExponentOf } from "../../../shared/base/powers-of-two.ts";
import { rng } from "../../../shared/base/rng.ts";
import { plainRound } from "../../fixtures/open-round.ts";

const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer);
const outlier = expect.objectContaining({ code: "CONTRIBUTION_OUTLIER" });

/** A run's rounds, in which whoever is called `own` is the operator's. */
function table(crew: readonly string[] = ["stranger"]) {
  const histories: NormHistories = new Map();
  const peaks: PeakMedians = new Map();
  const judge = new SizeJudge({ clip: "auto", clipFactor: 1, histories, peaks });
  let there = crew;
  const round: OpenRound = {
    ...plainRound,
    peaks: [{ name: "w", largest: Number.POSITIVE_INFINITY, magnitude: true }],
    accounts: () => there.length,
    own: (account) => account === "own",
    ownTakesPart: () => there.includes("own"),
  };
  const send = (account: string, gradient: number, peak = gradient, from = 0) => {
    return judge.judge({ account, from, to: from + 32 }, 32, { gradient }, bits(peak));
  };
  return {
    judge,
    send,
    open: (now = there) => {
      there = now;
      judge.open(round);
    },
    /** Rounds in which all of these send this. */
    rounds: (count: number, sends: Readonly<Record<string, number>>) => {
      for (let i = 0; i < count; i++) {
        judge.open(round);
        for (const [account, gradient] of Object.entries(sends)) send(account, gradient);
        judge.seal();
      }
    },
  };
}

test("Z44 the operator's own workers are the measure of strangers, however many those are", () => {
  const crew = ["own", "a", "b", "c", "d"];
  const { open, send, rounds, judge } = table(crew);
  open();
  send("own", 1);
  judge.seal();
  open();
  // A training's first rounds differ more.
  expect(send("a", EARLY_FACTOR, 1)).toBe(1);
  expect(() => send("a", 1.01 * EARLY_FACTOR, 1)).toThrow(outlier);
  judge.seal();
  rounds(8, { own: 1, a: 9, b: 9, c: 9, d: 9 });
  open();
  for (const liar of ["a", "b", "c", "d"]) {
    expect(() => send(liar, 1.01 * OUTLIER_FACTOR, 1)).toThrow("the norm of its gradient is 10.1");
    expect(() => send(liar, 1, 2.1 * PEAK_FACTOR)).toThrow("the peak of w is 67.2");
  }
});

test("Z44 what the operator's own send in a round is a measure too: their jump is everybody's", () => {
  const { open, send, rounds } = table(["own", "a"]);
  rounds(10, { own: 1, a: 1 });
  open();
  expect(() => send("a", 500)).toThrow(outlier);
  expect(send("own", 500)).toBe(1);
  expect(send("a", 500)).toBe(1);
});

test("Z45 what comes before there is any measure is taken back once the operator's own have sent what it is unlike", () => {
  const { open, send, judge } = table(["own", "a", "b"]);
  open();
  expect(judge.awaitsOwn("a")).toBe(true);
  expect(judge.awaitsOwn("own")).toBe(false);
  send("a", 1000, 1, 0);
  send("b", 1.5, 1, 32);
  expect(judge.takeUnlike()).toEqual([]);
  send("own", 1);
  expect(judge.takeUnlike()).toMatchObject([{ account: "a", from: 0, to: 32 }]);
  expect(judge.takeUnlike()).toEqual([]);
  expect(judge.awaitsOwn("a")).toBe(false);
  expect(() => send("a", 1000)).toThrow(outlier);
  expect(() => table().open([]) ?? send("a", 2 * FIRST_NORM)).toThrow(outlier);
});

test("Z46 a stranger alone moves what is usual, but slowly", () => {
  const { open, send, rounds, judge } = table();
  rounds(10, { stranger: 1 });
  let [largest, steps] = [1, 0];
  for (; steps < 40; steps++) {
    open();
    // Just below whatever the limit is.
    let value = largest * 100;
    for (let sent = false; !sent && value > 1e-3; value /= 1.1) {
      try {
        judge.open({ ...plainRound, peaks: [], accounts: () => 1 });
        send("stranger", value, 0);
        sent = true;
      } catch {}
    }
    largest = Math.max(largest, value);
    judge.seal();
  }
  // Its own median follows no faster than half of what is remembered.
  expect(largest).toBeLessThan(OUTLIER_FACTOR * LONE_GROWTH ** 3);
});

test("Z46 peaks of a stranger alone move their limit slowly, too", () => {
  const { open, send, judge } = table();
  open();
  send("stranger", 1, 1);
  judge.seal();
  for (let round = 1; round < 10; round++) {
    open();
    const limit = 2 * PEAK_FACTOR * LONE_GROWTH ** (round - 1);
    expect(() => send("stranger", 1, 1.01 * limit)).toThrow("the peak of w");
    expect(send("stranger", 1, 0.99 * limit)).toBe(1);
    judge.seal();
  }
});

test("Z46 where nobody else is, who insists is let through: a training may jump, and who was there before have lied", () => {
  const { open, send, rounds } = table();
  rounds(10, { stranger: 1 });
  open(["other"]);
  let tries = 0;
  for (; tries < 20; tries++) {
    try {
      send("other", 1e5, 0);
      break;
    } catch {}
  }
  expect(tries).toBe(Math.ceil(Math.log(1e5 / OUTLIER_FACTOR) / Math.log(LONE_PATIENCE)));
  for (let i = 0; i < 30; i++) expect(() => send("other", 2 * FIRST_NORM, 0)).toThrow(outlier);
});

test("Z46 nobody's insisting counts while the operator's own take part", () => {
  const { open, send, rounds } = table(["own", "a", "b", "c"]);
  rounds(10, { own: 1, a: 1 });
  open();
  for (let i = 0; i < 20; i++) for (const liar of ["a", "b", "c"]) expect(() => send(liar, 1e4, 1)).toThrow(outlier);
  // They have left, and the others may be right.
  open(["a", "b", "c"]);
  expect(() => send("a", 1e4, 1)).toThrow(outlier);
  expect(() => send("b", 1e4, 1)).toThrow(outlier);
  expect(send("c", 1e4, 1)).toBe(1);
});

test("Z47 the operator's own are refused only where their numbers are absurd, whatever strangers sent before", () => {
  const { open, send, rounds } = table(["own"]);
  rounds(3, { own: 1 });
  open();
  expect(send("own", 1000)).toBe(1);
  expect(() => send("own", 2 * ABSURD_FACTOR, 1)).toThrow(outlier);
  expect(() => send("own", 1, 2 * ABSURD_FACTOR)).toThrow(outlier);
  const after = table();
  after.rounds(20, { stranger: 1e-12 });
  after.open(["stranger", "own"]);
  expect(after.send("own", 1)).toBe(1);
  expect(after.send("stranger", 1)).toBe(1);
});

/** Microbatches of each account in a round. */
const crews: readonly (readonly [string, Readonly<Record<string, number>>])[] = [
  ["one alone", { a: 1 }],
  ["two alone, of whom one is throttled", { a: 3, b: 1 }],
  ["a stranger and the operator's own", { a: 3, own: 1 }],
  ["three", { a: 1, b: 1, c: 1 }],
];

test.each(crews)("Z50 a tensor of one number swings around 0, and nothing of it is refused: %s", (_, crew) => {
  const judge = new SizeJudge({ clip: "auto", clipFactor: 1, histories: new Map(), peaks: new Map() });
  const accounts = Object.entries(crew);
  const draw = rng(7, "bias");
  let largest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3000; round++) {
    judge.open({
      ...plainRound,
      peaks: [{ name: "bias", largest, magnitude: true }],
      accounts: () => accounts.length,
      own: (account) => account === "own",
      ownTakesPart: () => "own" in crew,
    });
    // The gradient of a microbatch is its samples' mean: near to normal, and now and then next to nothing.
    const sent = accounts.map(([account, microbatches]) => {
      return { account, peak: Math.max(...Array.from({ length: microbatches }, () => Math.abs(draw.normal()))) };
    });
    for (const { account, peak } of sent) judge.judge({ account }, 32, { gradient: 1 }, bits(peak));
    judge.seal();
    largest = 2 ** ceilingExponentOf(Math.max(...sent.map(({ peak }) => peak)));
  }
});

test("Z50 what is usual of a peak falls slowly, and a peak of nothing says nothing", () => {
  expect(nextPeaks([3, 3, 3, 0, 0], [0.1, 2.5, 0, 0, 7], false)).toEqual([3 / PEAK_FALL, 2.5, 3, 0, 7]);
  expect(nextPeaks([3, 3], [100, 0.1], true)).toEqual([3 * LONE_GROWTH, 3 / PEAK_FALL]);
  expect(nextPeaks([], [1, 0], true)).toEqual([1, 0]);
});

/** A gateway with a few of a run's many accounts. */
function gateway(here: readonly string[], accounts: number, jumped: (unusual: readonly string[]) => boolean) {
  const histories: NormHistories = new Map();
  const crowd = { accounts: () => accounts, jumped };
  const judge = new SizeJudge({ clip: "auto", clipFactor: 1, histories, peaks: new Map(), crowd });
  const round: OpenRound = { ...plainRound, peaks: [], accounts: () => here.length };
  const send = (account: string, gradient: number) => judge.judge({ account }, 32, { gradient }, new Uint32Array(0));
  for (let i = 0; i < 10; i++) {
    judge.open(round);
    for (const account of here) send(account, 1);
    judge.seal();
  }
  judge.open(round);
  return { send };
}

test("Q68 who is alone at a gateway of many accounts is measured as all are: its limit does not grow", () => {
  const alone = table(["a"]);
  alone.rounds(10, { a: 1 });
  alone.open();
  expect(() => alone.send("a", 2 * OUTLIER_FACTOR)).toThrow(outlier);
  // Alone in its run it must be able to follow a jump of the training.
  expect(alone.send("a", 2 * OUTLIER_FACTOR)).toBe(1);
  const { send } = gateway(["a"], 40, () => false);
  for (let i = 0; i < 8; i++) expect(() => send("a", 2 * OUTLIER_FACTOR)).toThrow(outlier);
});

test(`Q68 at a gateway with fewer than ${JUMP_ACCOUNTS} accounts whoever leads says whether the training made a jump`, () => {
  const few = Array.from({ length: JUMP_ACCOUNTS - 1 }, (_, i) => `a${i}`);
  let told: readonly string[] = [];
  let jump = false;
  const { send } = gateway(few, 40, (unusual) => {
    told = unusual;
    return jump;
  });
  // That all of them are here says nothing: they may be one's.
  for (const account of few) expect(() => send(account, 2 * OUTLIER_FACTOR)).toThrow(outlier);
  expect(told).toEqual(few);
  jump = true;
  expect(send("a0", 2 * OUTLIER_FACTOR)).toBeLessThanOrEqual(1);

  const many = [...few, "more"];
  const there = gateway(many, 4000, () => {
    throw new Error("nobody else is asked");
  });
  for (const account of many.slice(0, JUMP_ACCOUNTS / 2))
    expect(() => there.send(account, 2 * OUTLIER_FACTOR)).toThrow(outlier);
  expect(there.send("more", 2 * OUTLIER_FACTOR)).toBeLessThanOrEqual(1);
});
