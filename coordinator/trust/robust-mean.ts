// Means that a minority cannot steer, for runs that choose them: both want all contributions of a round at once.

import { median } from "./median.ts";

/** A contribution's mean gradient, and how many samples it is of. */
export interface WeightedVector {
  readonly values: Float64Array;
  readonly weight: number;
}

/** Share that a trimmed mean leaves out at each end. */
export const TRIMMED_SHARE = 0.1;
/** Passes of centered clipping: each starts nearer to the middle. */
export const CENTERED_PASSES = 3;

/**
 * Coordinate-wise trimmed mean (Yin et al., "Byzantine-robust distributed learning", 2018): without the b = ⌈share·n⌉
 * smallest and largest of each coordinate, weighted by samples. With n ≤ 2b, the weighted mean of the middle ones.
 * @param vectors in an order that does not depend on when they came
 */
export function trimmedMean(vectors: readonly WeightedVector[], share = TRIMMED_SHARE): Float64Array<ArrayBuffer> {
  const n = vectors.length;
  const cut = Math.min(Math.ceil(share * n), (n - 1) >> 1);
  const mean = new Float64Array(vectors[0]?.values.length ?? 0);
  const order = vectors.map((_, index) => index);
  for (let at = 0; at < mean.length; at++) {
    const value = (index: number) => vectors[index].values[at];
    order.sort((a, b) => value(a) - value(b) || a - b);
    let [sum, weight] = [0, 0];
    for (let i = cut; i < n - cut; i++) {
      const one = vectors[order[i]];
      sum += one.weight * one.values[at];
      weight += one.weight;
    }
    mean[at] = sum / weight;
  }
  return mean;
}

function distance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum);
}

/**
 * Centered clipping (Karimireddy et al. 2021): v ← v + Σ wᵢ (xᵢ − v) min(1, τ / ‖xᵢ − v‖) from v = `center`, the mean of
 * the round before. τ is the median distance to v, anew in each pass, so that no scale has to be guessed.
 * @param vectors in an order that does not depend on when they came
 */
export function centeredClip(
  vectors: readonly WeightedVector[],
  center: Float64Array,
  passes = CENTERED_PASSES,
): Float64Array<ArrayBuffer> {
  const total = vectors.reduce((sum, { weight }) => sum + weight, 0);
  let middle = Float64Array.from(center);
  for (let pass = 0; pass < passes; pass++) {
    const distances = vectors.map(({ values }) => distance(values, middle));
    const radius = median(distances);
    const next = Float64Array.from(middle);
    vectors.forEach(({ values, weight }, i) => {
      const share = (weight / total) * (distances[i] > radius ? radius / distances[i] : 1);
      for (let at = 0; at < next.length; at++) next[at] += share * (values[at] - middle[at]);
    });
    middle = next;
  }
  return middle;
}
