// Student's t and what is made of it, against the values of printed tables.

import { expect, test } from "vitest";
import { estimateOf, pairedDifference, studentT } from "../../../coordinator/compare/statistics.ts";

test.each([
  [1, 12.7062047364],
  [2, 4.3026527297],
  [3, 3.1824463053],
  [4, 2.7764451052],
  [9, 2.2621571628],
  [30, 2.0422724563],
  [99, 1.9842169516],
])("95 %% of Student's distribution of %i degrees of freedom lie within ±%f", (freedom, t) => {
  expect(studentT(freedom)).toBeCloseTo(t, 8);
});

test("other shares have other intervals", () => {
  expect(studentT(2, 0.99)).toBeCloseTo(9.9248432009, 8);
  expect(studentT(10, 0.9)).toBeCloseTo(1.8124611228, 8);
});

test("three values have a mean, a deviation over n − 1 and an interval of t times its error", () => {
  const { n, mean, deviation, half } = estimateOf([1, 2, 3]);
  expect([n, mean, deviation]).toEqual([3, 2, 1]);
  expect(half).toBeCloseTo(4.3026527297 / Math.sqrt(3), 8);
});

test("one value has no interval", () => {
  expect(estimateOf([0.5])).toEqual({ n: 1, mean: 0.5, deviation: null, half: null });
});

test("differences are taken seed by seed, of the seeds that both have", () => {
  const reference = new Map([
    [0, 0.5],
    [1, 0.6],
    [2, 0.9],
  ]);
  const values = new Map([
    [0, 0.6],
    [2, 1],
    [7, 0.1],
  ]);
  const found = pairedDifference(values, reference);
  expect(found?.n).toBe(2);
  expect(found?.mean).toBeCloseTo(0.1, 12);
  // The seeds' own spread is none of the difference's.
  expect(found?.half).toBeCloseTo(0, 12);
  expect(pairedDifference(new Map([[7, 1]]), reference)).toBeUndefined();
});
