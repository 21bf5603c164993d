// The proximal step of soft masks.
import { expect, test } from "vitest";
import { fistaStep, nextMomentum } from "../../../../shared/model/methods/soft-mask.ts";

test("steps end at the least of a square and the penalty: what is smaller than λ is 0, the rest is λ less", () => {
  const goal = [0.9, 0.3, 0.1, -0.05, -0.8];
  for (const nonNegative of [true, false]) {
    const mask = new Float32Array(5).fill(1);
    const before = mask.slice();
    const momentum = Float32Array.of(1);
    for (let step = 0; step < 400; step++) {
      const gradient = goal.map((a, i) => mask[i] - a);
      fistaStep(mask, before, momentum, { gradient, learningRate: 0.05, lambda: 0.2, nonNegative });
    }
    [0.7, 0.1, 0, 0, nonNegative ? 0 : -0.6].forEach((m, i) => {
      expect(mask[i]).toBeCloseTo(m, 2);
    });
  }
});

test("the first step goes from M itself, later ones from beyond it", () => {
  const mask = Float32Array.of(1);
  const before = Float32Array.of(1);
  const momentum = Float32Array.of(1);
  const step = { gradient: [1], learningRate: 0.1, lambda: 0, nonNegative: true };
  fistaStep(mask, before, momentum, step);
  expect(mask[0]).toBeCloseTo(0.9, 6);
  expect(before[0]).toBe(1);
  expect(momentum[0]).toBeCloseTo((1 + Math.sqrt(5)) / 2, 6);
  const share = (momentum[0] - 1) / nextMomentum(momentum[0]);
  fistaStep(mask, before, momentum, step);
  expect(mask[0]).toBeCloseTo(0.9 - share * 0.1 - 0.1, 6);
});
