// Rules of the strip.

import fc from "fast-check";
import { expect, test } from "vitest";
import { cover, FULL } from "../../../coordinator/dashboard/strip.ts";

test("a cell says how much of it is covered, whatever the cells cut", () => {
  expect(cover([{ from: 0, to: 50 }], 100, 4)).toEqual([FULL, FULL, 0, 0]);
  expect(cover([{ from: 10, to: 40 }], 100, 4)).toEqual([Math.round(FULL * 0.6), Math.round(FULL * 0.6), 0, 0]);
  expect(cover([{ from: 0, to: 3 }], 3, 1)).toEqual([FULL]);
  expect(cover([], 100, 3)).toEqual([0, 0, 0]);
});

test("the cells together cover what the ranges do", () => {
  const split = fc.record({
    samples: fc.integer({ min: 1, max: 100_000 }),
    cells: fc.integer({ min: 1, max: 240 }),
    cuts: fc.uniqueArray(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 12 }),
  });
  fc.assert(
    fc.property(split, ({ samples, cells, cuts }) => {
      const places = cuts.map((cut) => Math.round(cut * samples)).sort((a, b) => a - b);
      const ranges = places
        .slice(1)
        .flatMap((to, i) => (i % 2 === 0 && to > places[i] ? [{ from: places[i], to }] : []));
      const told = cover(ranges, samples, cells).reduce((sum, one) => sum + one, 0) / FULL / cells;
      const covered = ranges.reduce((sum, { from, to }) => sum + to - from, 0) / samples;
      expect(Math.abs(told - covered)).toBeLessThanOrEqual(0.5 / FULL + 1e-9);
    }),
  );
});
