// Which leases are checked: the first of an account and those that are audited, others by chance, all within a budget.

import { expect, test } from "vitest";
import {
  type Budget,
  type Candidate,
  CHANCE,
  CHECKED_SHARE,
  chooseCheck,
  FIRST_CHECKED,
  MOST_OWED_MS,
  MOST_QUEUED_MS,
  MOST_SAVED_MS,
} from "../../../coordinator/data-checks/check-choice.ts";
import { rng } from "../../../shared/base/rng.ts";

const full: Budget = { ms: MOST_SAVED_MS, at: 0 };
const known: Candidate = { costMs: 100, queuedMs: 0, before: FIRST_CHECKED, audited: false, draw: 0 };

test("C20 the first leases of an account and those that an audit compares are checked, whatever is drawn", () => {
  for (let before = 0; before < FIRST_CHECKED; before++) {
    expect(chooseCheck(0, full, { ...known, before, draw: 0.999 }).checked).toBe(true);
  }
  expect(chooseCheck(0, full, { ...known, draw: 0.999 }).checked).toBe(false);
  expect(chooseCheck(0, full, { ...known, audited: true, draw: 0.999 }).checked).toBe(true);
  expect(chooseCheck(0, full, { ...known, draw: CHANCE - 0.001 }).checked).toBe(true);
});

test("C20 they owe up to a limit, and others wait until that is paid", () => {
  const owed: Budget = { ms: -MOST_OWED_MS + 50, at: 0 };
  expect(chooseCheck(0, owed, { ...known, before: 0 }).checked).toBe(false);
  const first = chooseCheck(0, { ms: 0, at: 0 }, { ...known, before: 0, costMs: 1000 });
  expect(first).toEqual({ checked: true, budget: { ms: -1000, at: 0 } });
  expect(chooseCheck(9_000, first.budget, known).checked).toBe(false);
  expect(chooseCheck(11_000, first.budget, known).checked).toBe(true);
});

test("C20 over an hour of leases checks take a tenth of it, some of the leases, and no pattern of them", () => {
  const draws = rng(1, "checks");
  let budget = full;
  let spent = 0;
  const checked: number[] = [];
  for (let i = 0; i < 36_000; i++) {
    // A lease every 100 ms, which takes 40 ms to decode: four times what there is.
    const choice = chooseCheck(i * 100, budget, { ...known, costMs: 40, draw: draws.uniform() });
    budget = choice.budget;
    if (!choice.checked) continue;
    spent += 40;
    checked.push(i);
  }
  expect(spent / 3_600_000).toBeCloseTo(CHECKED_SHARE, 2);
  const gaps = new Set(checked.slice(1_000).map((at, i, all) => at - (all[i - 1] ?? at)));
  expect(gaps.size).toBeGreaterThan(5);
});

test("C20 a crowd of newcomers does not make each other's contributions wait: what queues up is bounded", () => {
  const newcomer = { ...known, before: 0, audited: true };
  expect(chooseCheck(0, full, { ...newcomer, queuedMs: MOST_QUEUED_MS }).checked).toBe(true);
  const late = chooseCheck(0, full, { ...newcomer, queuedMs: MOST_QUEUED_MS + 1 });
  expect(late).toEqual({ checked: false, budget: full });
});

test("a lease that takes more than can be saved is checked all the same, and the rest is owed", () => {
  const large = chooseCheck(0, full, { ...known, costMs: 12_000 });
  expect(large).toEqual({ checked: true, budget: { ms: -2_000, at: 0 } });
  expect(chooseCheck(0, { ms: MOST_SAVED_MS - 1, at: 0 }, { ...known, costMs: 12_000 }).checked).toBe(false);
});

test("time that is saved up ends at a limit", () => {
  expect(chooseCheck(10_000_000, full, { ...known, draw: 0.999 }).budget).toEqual({
    ms: MOST_SAVED_MS,
    at: 10_000_000,
  });
});
