// What is usual, and what becomes of a contribution that is not.

import { expect, test } from "vitest";
import { groupNormsOf, groupOf } from "../../../coordinator/sum/gradient-norms.ts";
import { clipRule, clipVerdict, OUTLIER_FACTOR } from "../../../coordinator/trust/clip-rule.ts";
import {
  HISTORY_ENTRIES,
  LEAST_ENTRIES,
  type NormHistory,
  type ObservedNorms,
  usualNorms,
  withRound,
} from "../../../coordinator/trust/norm-history.ts";

const observed = (account: string, norm: number, samples = 32): ObservedNorms => ({
  account,
  samples,
  norms: { gradient: norm, statistic: 5 },
});

/** A history of rounds in which ten accounts had these norms. */
function historyOf(norms: (round: number, account: number) => number, rounds = 3): NormHistory {
  let history: NormHistory = [];
  for (let round = 0; round < rounds; round++) {
    history = withRound(
      history,
      Array.from({ length: 10 }, (_, account) => observed(`a${account}`, norms(round, account))),
    );
  }
  return history;
}

const usual = usualNorms(historyOf(() => 2));
const auto = { mode: "auto", factor: 1, accounts: 10, usual } as const;

test("norms are of the mean over the samples, each group's alone", () => {
  const tensors = [
    { kind: "gradient", role: "float" },
    { kind: "gradient", role: "critic" },
    { kind: "gradient", role: "latent" },
  ] as const;
  expect(groupNormsOf(tensors, [25, 36, 144], 4)).toEqual({ gradient: 13 / 4, critic: 6 / 4 });
});

test("the discriminators' gradients are a group of their own", () => {
  expect(groupOf({ kind: "gradient", role: "critic" })).toBe("critic");
  expect(groupOf({ kind: "gradient", role: "latent" })).toBe("gradient");
  expect(groupOf({ kind: "statistic", role: "statistic" })).toBe("statistic");
});

test("nothing is usual before enough was seen", () => {
  let history: NormHistory = [];
  for (let seen = 1; seen < LEAST_ENTRIES; seen++) {
    history = withRound(history, [observed("a", 2)]);
    expect(usualNorms(history)).toEqual({});
  }
  expect(usualNorms(withRound(history, [observed("a", 2)])).gradient).toEqual({ norm: 2, samples: 32 });
});

test("an account counts once a round, however many leases it answers: a third of the accounts moves no median", () => {
  let history: NormHistory = [];
  for (let round = 0; round < 4; round++) {
    const honest = ["a", "b"].map((account) => observed(account, 2));
    history = withRound(history, [...honest, ...Array.from({ length: 100 }, () => observed("evil", 1e6))]);
  }
  expect(usualNorms(history).gradient?.norm).toBe(2);
});

test("the order of a round's contributions is of no account", () => {
  const ones = Array.from({ length: 20 }, (_, i) => observed(`a${i % 7}`, 1 + ((i * 13) % 11), 16 + i));
  const shuffled = ones.map((_, i) => ones[(i * 7) % ones.length]);
  expect(usualNorms(withRound(withRound([], ones), ones))).toEqual(
    usualNorms(withRound(withRound([], shuffled), ones)),
  );
});

test("old rounds are forgotten, and the history stays bounded", () => {
  let history = historyOf(() => 100);
  for (let round = 0; round < 20; round++)
    history = withRound(
      history,
      historyOf(() => 1, 1)[0].map(() => observed(`${Math.random()}`, 1)),
    );
  expect(usualNorms(history).gradient?.norm).toBe(1);
  expect(history.flat().length).toBeLessThan(HISTORY_ENTRIES + 10);
});

test("with a codec that is not exact, what is above the usual is scaled down to it; the rest is left alone", () => {
  const rule = clipRule({ ...auto, codec: "int8" });
  expect(clipVerdict(rule, { gradient: 4, statistic: 5 }, 32)).toEqual({ kind: "add", scale: { gradient: 0.5 } });
  expect(clipVerdict(rule, { gradient: 2, statistic: 5 }, 32)).toEqual({ kind: "add", scale: {} });
  expect(clipVerdict(clipRule({ ...auto, codec: "int8", factor: 3 }), { gradient: 4 }, 32)).toEqual({
    kind: "add",
    scale: {},
  });
});

test("a smaller lease may be noisier, by the square root of its size; a larger one may not", () => {
  const rule = clipRule({ ...auto, codec: "f32" });
  expect(clipVerdict(rule, { gradient: 4 }, 8)).toEqual({ kind: "add", scale: {} });
  expect(clipVerdict(rule, { gradient: 4 }, 128)).toEqual({ kind: "add", scale: { gradient: 0.5 } });
});

test("with the codec exact nothing is ever scaled; what is beyond every measure is refused with any codec", () => {
  for (const codec of ["exact", "int8"] as const) {
    const rule = clipRule({ ...auto, codec });
    expect(clipVerdict(rule, { gradient: 2 * OUTLIER_FACTOR * 1.01 }, 32)).toMatchObject({
      kind: "refuse",
      group: "gradient",
    });
    expect(clipVerdict(rule, { gradient: 2, statistic: 51 }, 32)).toMatchObject({
      kind: "refuse",
      group: "statistic",
      limit: 50,
    });
  }
  expect(clipVerdict(clipRule({ ...auto, codec: "exact" }), { gradient: 19 }, 32)).toEqual({ kind: "add", scale: {} });
});

test("statistics and metrics are never scaled: a share of a mean is no measurement", () => {
  const rule = clipRule({ ...auto, codec: "f32" });
  expect(clipVerdict(rule, { statistic: 40 }, 32)).toEqual({ kind: "add", scale: {} });
});

test("with fewer than three accounts, with `none`, and before anything is usual, nothing is done", () => {
  const wild = { gradient: 1e9 };
  const add = { kind: "add", scale: {} };
  expect(clipVerdict(clipRule({ ...auto, codec: "f32", accounts: 2 }), wild, 32)).toEqual(add);
  expect(clipVerdict(clipRule({ ...auto, codec: "f32", mode: "none" }), wild, 32)).toEqual(add);
  expect(clipVerdict(clipRule({ ...auto, codec: "f32", usual: {} }), wild, 32)).toEqual(add);
});
