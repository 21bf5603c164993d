// Rules of the units that a round's integers are in.

import fc from "fast-check";
import { expect, test } from "vitest";
import { exponentsFor, recordPeaks } from "../../../coordinator/state/exponents.ts";
import { initialExponent, nextExponent, nextScaleExponent } from "../../../coordinator/sum/unit-rule.ts";
import { contributionLayout } from "../../../shared/wire/contribution.ts";
import { layoutOf } from "../../fixtures/codec-cases.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { advance, nextLayout, nextSum, tinyState } from "../../fixtures/tiny-run.ts";

test("the next unit is the smallest for which eight times the peak fits 2^23 units", () => {
  const float32 = fc.float({ min: 2 ** -100, max: 2 ** 100, noNaN: true }).filter((x) => x > 0);
  fc.assert(
    fc.property(float32, (peak) => {
      const e = nextExponent(peak, 0);
      expect(8 * peak).toBeLessThanOrEqual(2 ** (23 + e));
      expect(8 * peak).toBeGreaterThan(2 ** (22 + e));
    }),
  );
  expect(nextExponent(1, 0)).toBe(-20);
  expect(nextExponent(1 + 2 ** -23, 0)).toBe(-19);
});

test("a peak of 0 leaves the unit, and units stay within 2^±126", () => {
  expect(nextExponent(0, -31)).toBe(-31);
  expect(nextExponent(2 ** -140, 0)).toBe(-126);
  expect(nextExponent(Number.MAX_VALUE, 0)).toBe(126);
  for (const bad of [NaN, Infinity, -1]) expect(() => nextExponent(bad, 0)).toThrow(RangeError);
});

test("the first round has fixed units, the next ones follow the peaks of their own kind, metrics never move", () => {
  const state = tinyState();
  const layout = nextLayout(state);
  expect(exponentsFor(state, "teacher", layout)).toEqual(
    layout.tensors.map(({ kind }) => initialExponent(kind, state.config.batch)),
  );
  const { peaks } = nextSum(state);
  advance(state);
  const next = exponentsFor(state, "teacher", layout);
  layout.tensors.forEach(({ kind }, i) => {
    expect(next[i]).toBe(kind === "metric" ? -12 : nextExponent(peaks[i], initialExponent(kind, state.config.batch)));
  });
  const student = contributionLayout(state.networks.student.manifest, phaseOf("bn"));
  expect(exponentsFor(state, "bn", student)).toEqual(
    student.tensors.map(({ kind }) => initialExponent(kind, state.config.batch)),
  );
  recordPeaks(state, "teacher", { layout, codec: "exact", peaks: new Float32Array(layout.tensors.length) });
  expect(exponentsFor(state, "teacher", layout)).toEqual(next);
});

test("a tensor that travels as signs gets the power of two nearest to the mean that its workers report", () => {
  expect([0.75, 1, 1.4, 1.42, 3e-5].map((mean) => nextScaleExponent(mean, 9))).toEqual([0, 0, 0, 1, -15]);
  expect(nextScaleExponent(0, 9)).toBe(9);
  for (const wrong of [-1, NaN, Infinity]) expect(() => nextScaleExponent(wrong, 0)).toThrow(RangeError);
  const holder = { exponents: new Map<string, number>(), config: { batch: 8, codec: "sign" } };
  const layout = layoutOf({ n0: 4, w0: 64 });
  recordPeaks(holder, "student", { layout, codec: "sign", peaks: [1, 1] });
  expect(exponentsFor(holder, "student", layout)).toEqual([-20, 0]);
  recordPeaks(holder, "student", { layout, codec: "int8", peaks: [1, 1] });
  expect(exponentsFor(holder, "student", layout)).toEqual([-20, -20]);
});
