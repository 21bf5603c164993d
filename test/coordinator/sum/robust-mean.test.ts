// Means that a minority cannot steer, against the plain mean and against the zoo's attacks on vectors.

import { expect, test } from "vitest";
import { centeredClip, trimmed, trimmedMean, type WeightedVector } from "../../../coordinator/sum/robust-mean.ts";
import { rng } from "../../../shared/base/rng.ts";

const dimensions = 400;
const truth = Float64Array.from({ length: dimensions }, (_, i) => Math.sin(i));

const whole = (size: number) => [{ offset: 0, size }];

function clipped(vectors: readonly WeightedVector[]): Float64Array {
  const middle = new Float64Array(vectors[0].values.length);
  centeredClip(vectors, middle, whole(middle.length));
  return middle;
}

/** Noisy gradients of ten workers, the last of which does what `attack` says with an honest one. */
function contributions(attack: (honest: Float64Array) => Float64Array = (honest) => honest): WeightedVector[] {
  return Array.from({ length: 10 }, (_, worker) => {
    const noise = rng(3, "robust", worker);
    const honest = truth.map((value) => value + noise.normal());
    return { values: worker === 9 ? attack(honest) : honest, weight: 32 + worker };
  });
}

function cosine(a: Float64Array): number {
  let [product, square, norm] = [0, 0, 0];
  a.forEach((value, i) => {
    product += value * truth[i];
    square += value * value;
    norm += truth[i] ** 2;
  });
  return product / Math.sqrt(square * norm);
}

function plainMean(vectors: readonly WeightedVector[]): Float64Array {
  const total = vectors.reduce((sum, { weight }) => sum + weight, 0);
  return truth.map((_, at) => vectors.reduce((sum, { values, weight }) => sum + (weight / total) * values[at], 0));
}

const attacks: [string, (honest: Float64Array) => Float64Array][] = [
  ["×1000", (honest) => honest.map((value) => 1000 * value)],
  ["sign flip × 10", (honest) => honest.map((value) => -10 * value)],
  ["zeros", (honest) => honest.map(() => 0)],
  ["random × 1000", () => truth.map((_, i) => 1000 * Math.sin(i * i))],
];

test.each(attacks)("one of ten that sends %s turns neither mean away from the truth", (_, attack) => {
  const clean = cosine(plainMean(contributions()));
  const vectors = contributions(attack);
  expect(cosine(trimmedMean(vectors))).toBeGreaterThan(clean - 0.08);
  expect(cosine(clipped(vectors))).toBeGreaterThan(clean - 0.08);
});

test("the plain mean is turned away by one of ten, so the cases above can fail", () => {
  const clean = cosine(plainMean(contributions()));
  expect(cosine(plainMean(contributions(attacks[1][1])))).toBeLessThan(clean - 0.2);
});

test("without outliers the trimmed mean of equal vectors is that vector, whatever the weights", () => {
  const same = [1, 7, 3, 2].map((weight) => ({ values: Float64Array.of(1, -2, 3), weight }));
  expect([...trimmedMean(same)]).toEqual([1, -2, 3]);
});

test("the trimmed mean leaves out the ends of each coordinate and weighs the rest", () => {
  const vectors = [
    { values: Float64Array.of(0, 9), weight: 1 },
    { values: Float64Array.of(1, 1), weight: 1 },
    { values: Float64Array.of(4, 4), weight: 2 },
    { values: Float64Array.of(9, 0), weight: 5 },
  ];
  expect([...trimmedMean(vectors)]).toEqual([3, 3]);
});

test("two vectors leave nothing to trim, one is itself", () => {
  const one = { values: Float64Array.of(5), weight: 2 };
  expect([...trimmedMean([one])]).toEqual([5]);
  expect([...trimmedMean([one, { values: Float64Array.of(1), weight: 2 }])]).toEqual([3]);
});

test("centered clipping of one vector is that vector; elements outside of the spans stay", () => {
  const middle = Float64Array.of(0, 0, 7);
  centeredClip([{ values: Float64Array.of(3, 4, 5), weight: 2 }], middle, whole(2));
  expect([...middle]).toEqual([3, 4, 7]);
});

test("one far away moves the middle by no more than its share of the median distance, in each pass", () => {
  const one = { values: truth, weight: 1 };
  const far = { values: truth.map((value) => -1e9 * value), weight: 1 };
  const moved = clipped([one, one, far]);
  expect(cosine(moved)).toBeGreaterThan(0.999);
  expect(Math.hypot(...moved)).toBeLessThanOrEqual(Math.hypot(...truth) * (1 + 1e-9));
  expect(Math.hypot(...moved)).toBeGreaterThan(Math.hypot(...truth) / 3);
});

test("b is a tenth of the vectors, rounded up, and one is always left", () => {
  expect([1, 2, 3, 10, 11, 20].map(trimmed)).toEqual([0, 0, 1, 1, 2, 2]);
});
