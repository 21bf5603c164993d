// Rules of learning-rate schedules.
import fc from "fast-check";
import { expect, test } from "vitest";
import { learningRateFactor, type Schedule } from "../../../shared/run/schedule.ts";

test("constant is 1 at every step", () => {
  for (const step of [0, 5, 1000]) expect(learningRateFactor({ kind: "constant" }, step, 10)).toBe(1);
});

test("cosine starts at 1, is 1/2 in the middle and 0 from the last step on", () => {
  const cosine: Schedule = { kind: "cosine" };
  expect(learningRateFactor(cosine, 0, 100)).toBe(1);
  expect(learningRateFactor(cosine, 50, 100)).toBe(0.5);
  expect(learningRateFactor(cosine, 25, 100)).toBe(Math.fround((1 + Math.SQRT1_2) / 2));
  expect(learningRateFactor(cosine, 100, 100)).toBe(0);
  expect(learningRateFactor(cosine, 1e9, 100)).toBe(0);
});

test("cosine never rises after warm-up", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.nat(20), (total, warmupSteps) => {
      let before = 1;
      for (let step = warmupSteps; step < total; step++) {
        const factor = learningRateFactor({ kind: "cosine", warmupSteps }, step, total);
        expect(factor).toBeLessThanOrEqual(before);
        before = factor;
      }
    }),
  );
});

test("step multiplies by gamma at each milestone", () => {
  const steps: Schedule = { kind: "step", milestones: [10, 20], gamma: 0.5 };
  expect([0, 9, 10, 19, 20, 500].map((step) => learningRateFactor(steps, step, 30))).toEqual([
    1, 1, 0.5, 0.5, 0.25, 0.25,
  ]);
});

test("warm-up rises linearly to 1 on its last step, and the schedule proper starts after it", () => {
  for (const kind of ["constant", "cosine"] as const) {
    const factors = [0, 1, 2, 3, 4].map((step) => learningRateFactor({ kind, warmupSteps: 4 }, step, 8));
    expect(factors).toEqual([0.25, 0.5, 0.75, 1, 1]);
  }
  const steps: Schedule = { kind: "step", milestones: [2], gamma: 0.5, warmupSteps: 4 };
  expect([0, 1, 2, 3, 4].map((step) => learningRateFactor(steps, step, 8))).toEqual([0.25, 0.5, 0.375, 0.5, 0.5]);
});

test("a step or a total that counts nothing is refused", () => {
  for (const step of [-1, 0.5, NaN])
    expect(() => learningRateFactor({ kind: "constant" }, step, 10)).toThrow(RangeError);
  expect(() => learningRateFactor({ kind: "cosine" }, 0, 0)).toThrow(RangeError);
});
