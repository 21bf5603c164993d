// Levels between a bucket's least and largest weight: their codes, what they stand for, and the ways of the gradient.
import { describe, expect, test } from "vitest";
import { rng } from "../../../../shared/base/rng.ts";
import {
  type Bucket,
  bucketRanges,
  levelTable,
  nearestCodes,
  pointGradient,
  positions,
  quantiles,
  uniformCodes,
  uniformGradient,
} from "../../../../shared/model/methods/uniform-levels.ts";

const draw = rng(9);
const shape = [3, 2, 2, 5] as const;
const weight = Float32Array.from({ length: 60 }, () => 1.3 * draw.normal());
const gradient = Float64Array.from({ length: 60 }, () => draw.normal());
const layer = { shape, weight };

describe.each(["layer", "out"] as const)("a bucket a %s", (bucket: Bucket) => {
  const ranges = bucketRanges(layer, bucket);
  const u = positions(weight, ranges);

  test("has its least and largest weight exactly, and no weight is half a level away from its own", () => {
    const codes = uniformCodes(u, 2);
    const table = levelTable([0, 1 / 3, 2 / 3, 1], ranges, 4);
    ranges.forEach(({ from, to, least, width }, at) => {
      for (let i = from; i < to; i++) {
        const value = table[at * 4 + codes[i]];
        expect(Math.abs(value - weight[i])).toBeLessThanOrEqual(width / 6 + 1e-6);
      }
      expect(table[at * 4]).toBe(Math.fround(least));
      expect(table[at * 4 + 3]).toBeCloseTo(Math.max(...weight.subarray(from, to)), 6);
    });
  });

  test("the full gradient is that of a level that moves with the ends of its bucket", () => {
    const codes = uniformCodes(u, 2);
    // q − u is held: the rounding is passed straight through.
    const loss = (w: Float64Array) =>
      ranges.reduce((sum, { from, to }) => {
        const own = w.slice(from, to);
        const width = Math.max(...own) - Math.min(...own);
        return own.reduce((s, x, i) => s + gradient[from + i] * (x + width * (codes[from + i] / 3 - u[from + i])), sum);
      }, 0);
    const full = uniformGradient(layer, gradient, { bits: 2, bucket, backward: "full" });
    for (let i = 0; i < 60; i++) {
      const [up, down] = [1e-6, -1e-6].map((h) => loss(Float64Array.from(weight, (w, j) => (i === j ? w + h : w))));
      expect(full[i]).toBeCloseTo((up - down) / 2e-6, 5);
    }
  });

  test("a point's gradient is the derivative of what its weights are worth", () => {
    const points = Float32Array.of(0.1, 0.4, 0.7);
    const codes = nearestCodes(u, points);
    const loss = (p: ArrayLike<number>) =>
      ranges.reduce((sum, { from, to, least, width }) => {
        let own = sum;
        for (let i = from; i < to; i++) own += gradient[i] * (p[codes[i]] * width + least);
        return own;
      }, 0);
    const of = pointGradient(gradient, codes, ranges, 3);
    for (let j = 0; j < 3; j++) {
      const moved = [...points].map((p, k) => (k === j ? p + 1 : p));
      expect(of[j]).toBeCloseTo(loss(moved) - loss(points), 6);
    }
  });
});

test("a tie between levels goes to the even one, between points to the lower one", () => {
  expect([...uniformCodes(Float64Array.of(0.5, 1 / 6, 5 / 6), 2)]).toEqual([2, 0, 2]);
  expect([...nearestCodes(Float64Array.of(0.5, 0.51), Float32Array.of(0.25, 0.75))]).toEqual([0, 1]);
  expect([...nearestCodes(Float64Array.of(0.5, 0.6), Float32Array.of(0.25, 0.25, 0.75, 0.75))]).toEqual([0, 2]);
});

test("of many points the nearest is found, beyond the ends as well", () => {
  const points = Float32Array.from({ length: 37 }, () => draw.uniform()).sort();
  const places = Float64Array.from({ length: 500 }, (_, i) => i / 499);
  const nearest = places.map((x) => points.reduce((best, p) => Math.min(best, Math.abs(x - p)), 2));
  nearestCodes(places, points).forEach((code, i) => {
    expect(Math.abs(places[i] - points[code])).toBe(nearest[i]);
  });
});

test("a bucket of one value is that value", () => {
  const flat = { shape: [1, 1, 1, 3] as const, weight: Float32Array.of(0.5, 0.5, 0.5) };
  const ranges = bucketRanges(flat, "layer");
  expect([...uniformCodes(positions(flat.weight, ranges), 2)]).toEqual([0, 0, 0]);
  expect(levelTable([0, 1], ranges, 2)[0]).toBe(0.5);
});

test("a truncated gradient is 0 outside 1", () => {
  const cut = uniformGradient(layer, gradient, { bits: 2, bucket: "layer", backward: "truncated" });
  cut.forEach((g, i) => {
    expect(g).toBe(Math.abs(weight[i]) <= 1 ? gradient[i] : 0);
  });
});

test("quantiles have as many weights between them", () => {
  const u = Float64Array.from({ length: 1001 }, (_, i) => (i / 1000) ** 2);
  [0.125, 0.375, 0.625, 0.875].forEach((share, j) => {
    expect(quantiles(u, 4)[j]).toBeCloseTo(share ** 2, 5);
  });
});
