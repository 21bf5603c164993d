// When a round is late: rules of the pure function, for any arrivals.

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  ARRIVAL_ROUNDS,
  ARRIVALS_KEPT,
  deadlineMs,
  mayEndEarly,
  sealMode,
  withArrivals,
} from "../../../coordinator/round/deadline.ts";
import { parseConfig } from "../../../shared/run/config.ts";

const limits = { minMs: 2000, maxMs: 120_000 };
const anyOffsets = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { maxLength: 40 });

test("median + 6 · MAD of the arrivals, and of volunteers in step, 30 % above the median", () => {
  expect(deadlineMs([[8000, 9000, 10_000, 11_000, 12_000]], limits)).toBe(10_000 + 6 * 1000);
  expect(deadlineMs([[10_000, 10_000, 10_000]], limits)).toBe(13_000);
});

test("one straggler, however late, does not move it", () => {
  const others = [9000, 9500, 10_000, 10_500];
  expect(deadlineMs([[...others, 1e9]], limits)).toBe(deadlineMs([[...others, 11_000]], limits));
});

test("it is within the limits for any arrivals, and the longest where there are none", () => {
  expect(deadlineMs([], limits)).toBe(limits.maxMs);
  fc.assert(
    fc.property(fc.array(anyOffsets, { maxLength: 15 }), (rounds) => {
      const arrivals = rounds.reduce(withArrivals, [] as ReturnType<typeof withArrivals>);
      const deadline = deadlineMs(arrivals, limits);
      expect(deadline).toBeGreaterThanOrEqual(limits.minMs);
      expect(deadline).toBeLessThanOrEqual(limits.maxMs);
      const offsets = arrivals.flat().sort((a, b) => a - b);
      // At least half of what came was not late, unless the limit is lower.
      if (offsets.length > 0 && deadline < limits.maxMs) {
        expect(offsets.filter((offset) => offset <= deadline).length).toBeGreaterThanOrEqual(offsets.length / 2);
      }
    }),
  );
});

test("arrivals that are all later by a factor are late later by the factor", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 100 }),
      (a, k) => {
        const free = { minMs: 0, maxMs: Number.POSITIVE_INFINITY };
        expect(deadlineMs([a.map((offset) => offset * k)], free)).toBeCloseTo(k * deadlineMs([a], free), 5);
      },
    ),
  );
});

test("the last ten rounds are remembered, of each at most 512 arrivals, evenly chosen", () => {
  let arrivals = withArrivals([], []);
  expect(arrivals).toEqual([]);
  for (let round = 0; round < 12; round++) arrivals = withArrivals(arrivals, [round]);
  expect(arrivals).toHaveLength(ARRIVAL_ROUNDS);
  expect(arrivals[0]).toEqual([2]);
  const [kept] = withArrivals(
    [],
    Array.from({ length: 10_000 }, (_, i) => 10_000 - i),
  );
  expect(kept).toHaveLength(ARRIVALS_KEPT);
  expect(kept[0]).toBe(1);
  expect(kept[ARRIVALS_KEPT / 2]).toBeCloseTo(5000, -2);
});

test("a round never ends before half of its samples are there", () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), (collected, wanted) => {
      expect(mayEndEarly(collected, wanted)).toBe(collected > 0 && collected >= wanted / 2);
    }),
  );
});

test("nothing is left out with the codec exact, unless the configuration says so", () => {
  const mode = (codec: string, seal: string) => sealMode(parseConfig({ codec, lease: { seal } }));
  expect([mode("exact", "auto"), mode("int8", "auto"), mode("f32", "auto")]).toEqual([
    "complete",
    "deadline",
    "deadline",
  ]);
  expect([mode("exact", "deadline"), mode("int8", "complete")]).toEqual(["deadline", "complete"]);
});
