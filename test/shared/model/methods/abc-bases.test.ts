// ABC-Net's bases: which signs they are, and that their coefficients are the best ones.
import { describe, expect, test } from "vitest";
import { rng } from "../../../../shared/base/rng.ts";
import {
  abcGradient,
  abcPlanes,
  abcScale,
  type BaseScale,
  baseShifts,
} from "../../../../shared/model/methods/abc-bases.ts";

const draw = rng(8);
const shape = [4, 3, 3, 10] as const;
const weight = Float32Array.from({ length: 360 }, () => 0.2 + draw.normal());
const layer = { shape, weight };

function effective(bases: number, scale: BaseScale): Float64Array {
  const planes = abcPlanes(layer, bases, scale);
  const alpha = abcScale(layer, planes, bases, scale);
  const sets = alpha.length / bases;
  return Float64Array.from(weight, (_, i) => {
    let sum = 0;
    for (let m = 0; m < bases; m++) sum += alpha[m * sets + Math.floor((i * sets) / 360)] * planes[m * 360 + i];
    return sum;
  });
}

test("shifts go from -1 to 1 in even steps; the only one is 0", () => {
  expect(baseShifts(1)).toEqual([0]);
  expect(baseShifts(3)).toEqual([-1, 0, 1]);
  expect(baseShifts(5)).toEqual([-1, -0.5, 0, 0.5, 1]);
});

test("one base is the sign of W less its mean; three of a normal layer add up to 1.5 deviations", () => {
  const mean = weight.reduce((sum, w) => sum + w, 0) / 360;
  expect([...abcPlanes(layer, 1, "layer")]).toEqual([...weight].map((w) => (w - mean < 0 ? -1 : 1)));
  const alpha = abcScale(layer, abcPlanes(layer, 3, "layer"), 3, "layer");
  const sum = alpha.reduce((a, b) => a + b);
  expect(sum).toBeGreaterThan(1.3);
  expect(sum).toBeLessThan(1.7);
});

describe.each(["layer", "out"] as const)("per %s", (scale) => {
  test("more bases come nearer to W", () => {
    const errors = [1, 3, 5].map((m) => effective(m, scale).reduce((sum, w, i) => sum + (w - weight[i]) ** 2, 0));
    expect(errors[1]).toBeLessThan(0.6 * errors[0]);
    expect(errors[2]).toBeLessThan(0.75 * errors[1]);
  });

  test("the gradient is G times the sum of what shares its coefficients", () => {
    const alpha = abcScale(layer, abcPlanes(layer, 3, scale), 3, scale);
    const sets = alpha.length / 3;
    abcGradient(new Float64Array(360).fill(1), alpha, 3).forEach((g, i) => {
      const set = Math.floor((i * sets) / 360);
      expect(g).toBeCloseTo(alpha[set] + alpha[sets + set] + alpha[2 * sets + set], 12);
    });
  });
});

test("mean and deviation are of the filter where coefficients are", () => {
  const apart = { shape: [2, 1, 1, 4] as const, weight: Float32Array.of(10, 11, 12, 13, -4, -3, -2, -1) };
  expect([...abcPlanes(apart, 1, "out")]).toEqual([-1, -1, 1, 1, -1, -1, 1, 1]);
  expect([...abcPlanes(apart, 1, "layer")]).toEqual([1, 1, 1, 1, -1, -1, -1, -1]);
});
