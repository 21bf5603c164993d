// Means that a minority cannot steer, for runs that choose them: both want all contributions of a round at once.
import { median } from "../../shared/base/median.ts";

/** A mean over samples, and of how many. */
export interface WeightedVector {
  readonly values: Float64Array;
  readonly weight: number;
}

/** Elements [offset, offset + size) of the vectors. */
export interface Span {
  readonly offset: number;
  readonly size: number;
}

/** Share of the vectors that is left out at each end of a coordinate. */
export const TRIMMED_SHARE = 0.1;
/** Passes of centered clipping: each starts nearer to the middle. */
export const CENTERED_PASSES = 3;

/** b = ⌈0.1 n⌉, and at least one vector stays. */
export function trimmed(n: number): number {
  return Math.min(Math.ceil(TRIMMED_SHARE * n), (n - 1) >> 1);
}

/**
 * Coordinate-wise trimmed mean (Yin et al., "Byzantine-robust distributed learning", 2018): without the b = trimmed(n)
 * smallest and largest of each coordinate, weighted by samples.
 * @param vectors at least one, of one length, in an order that does not depend on when they came
 */
export function trimmedMean(vectors: readonly WeightedVector[]): Float64Array<ArrayBuffer> {
  const n = vectors.length;
  const cut = trimmed(n);
  const mean = new Float64Array(vectors[0].values.length);
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

function squaredDistance(a: Float64Array, b: Float64Array, { offset, size }: Span): number {
  let sum = 0;
  for (let i = offset; i < offset + size; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

/**
 * Centered clipping (Karimireddy, He, Jaggi, "Learning from history for Byzantine robust optimization", 2021): v ← v +
 * Σ wᵢ (xᵢ − v) min(1, τ / ‖xᵢ − v‖) from v = the mean of the round before. τ is the median distance to v, anew in each
 * pass, so that no scale has to be guessed.
 * @param vectors at least one, of one length, in an order that does not depend on when they came
 * @param middle v; changed in place, within `spans`, to the result
 * @param spans the elements that are one vector here
 */
export function centeredClip(vectors: readonly WeightedVector[], middle: Float64Array, spans: readonly Span[]): void {
  const total = vectors.reduce((sum, { weight }) => sum + weight, 0);
  for (let pass = 0; pass < CENTERED_PASSES; pass++) {
    const distances = vectors.map(({ values }) =>
      Math.sqrt(spans.reduce((sum, span) => sum + squaredDistance(values, middle, span), 0)),
    );
    const radius = median(distances);
    const shares = vectors.map(
      ({ weight }, i) => (weight / total) * (distances[i] > radius ? radius / distances[i] : 1),
    );
    for (const { offset, size } of spans) {
      for (let at = offset; at < offset + size; at++) {
        let move = 0;
        for (let i = 0; i < vectors.length; i++) move += shares[i] * (vectors[i].values[at] - middle[at]);
        middle[at] += move;
      }
    }
  }
}
