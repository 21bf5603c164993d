// Levels between a bucket's least and largest weight (Polino, Pascanu & Alistarh, ICLR 2018): evenly spaced ones, and
// points that are learned.

import type { LatentLayer } from "./method.ts";
import { roundHalfEven } from "./round-half-even.ts";

/** What shares a least and a largest weight: a layer, or a filter. */
export type Bucket = "layer" | "out";
/** How G reaches W: as it is; 0 outside ±1, of weights that are clamped first; also by least and largest weight. */
export type UniformBackward = "none" | "truncated" | "full";

/** A bucket: its first weight and the one after its last, its least weight β and its width α = max − min. */
interface Range {
  readonly from: number;
  readonly to: number;
  readonly least: number;
  readonly width: number;
}

export function bucketRanges({ shape, weight }: Pick<LatentLayer, "shape" | "weight">, bucket: Bucket): Range[] {
  const buckets = bucket === "out" ? shape[0] : 1;
  const each = weight.length / buckets;
  return Array.from({ length: buckets }, (_, at) => {
    const [from, to] = [at * each, (at + 1) * each];
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let i = from; i < to; i++) {
      least = Math.min(least, weight[i]);
      most = Math.max(most, weight[i]);
    }
    return { from, to, least, width: most - least };
  });
}

/** Where W lies in its bucket, 0 to 1; 0 in a bucket of one value. f64 of W's size */
export function positions(weight: Float32Array, ranges: readonly Range[]): Float64Array {
  const u = new Float64Array(weight.length);
  for (const { from, to, least, width } of ranges) {
    for (let i = from; i < to; i++) u[i] = width === 0 ? 0 : (weight[i] - least) / width;
  }
  return u;
}

/** 0 … 2^bits − 1: round((2^bits − 1) u), ties to even. */
export function uniformCodes(u: Float64Array, bits: number): Uint8Array {
  const levels = 2 ** bits - 1;
  const codes = new Uint8Array(u.length);
  for (let i = 0; i < codes.length; i++) codes[i] = roundHalfEven(levels * u[i]);
  return codes;
}

/** The nearest of ascending points; of two that are as near, the lower one. */
export function nearestCodes(u: Float64Array, points: Float32Array): Uint8Array {
  const codes = new Uint8Array(u.length);
  for (let i = 0; i < codes.length; i++) codes[i] = nearest(u[i], points);
  return codes;
}

function nearest(x: number, points: Float32Array): number {
  // The first point that is not below x, or the last one; then whether the one before is as near.
  let from = 0;
  let to = points.length - 1;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (points[middle] < x) from = middle + 1;
    else to = middle;
  }
  if (from === 0 || points[from] - x < x - points[from - 1]) return from;
  from -= 1;
  while (from > 0 && points[from - 1] === points[from]) from -= 1;
  return from;
}

/** point × α + β of each bucket; entries beyond the points are 0. @returns f32 [buckets][entries] */
export function levelTable(points: ArrayLike<number>, ranges: readonly Range[], entries: number): Float32Array {
  const table = new Float32Array(ranges.length * entries);
  ranges.forEach(({ least, width }, at) => {
    for (let j = 0; j < points.length; j++) table[at * entries + j] = points[j] * width + least;
  });
  return table;
}

/**
 * ∂L/∂W of evenly spaced levels. `none`: G. `truncated`: G where |W| ≤ 1, else 0. `full`: G, and Σ G (q − u) of the
 * bucket, q being the level that u became: added to its largest weight, taken from its least (the first of several).
 */
export function uniformGradient(
  layer: Pick<LatentLayer, "shape" | "weight">,
  gradient: Float64Array,
  { bits, bucket, backward }: { readonly bits: number; readonly bucket: Bucket; readonly backward: UniformBackward },
): Float64Array {
  const { weight } = layer;
  switch (backward) {
    case "none":
      return gradient.slice();
    case "truncated":
      return gradient.map((g, i) => (Math.abs(weight[i]) <= 1 ? g : 0));
    case "full": {
      const ranges = bucketRanges(layer, bucket);
      const u = positions(weight, ranges);
      const codes = uniformCodes(u, bits);
      const result = gradient.slice();
      for (const { from, to, least, width } of ranges) {
        let moved = 0;
        for (let i = from; i < to; i++) moved += gradient[i] * (codes[i] / (2 ** bits - 1) - u[i]);
        const own = weight.subarray(from, to);
        result[from + own.indexOf(Math.fround(least + width))] += moved;
        result[from + own.indexOf(least)] -= moved;
      }
      return result;
    }
    default:
      return backward satisfies never;
  }
}

/** ∂p_j = Σ α G over the weights that have point j. @returns f64 [points] */
export function pointGradient(
  gradient: Float64Array,
  codes: Uint8Array,
  ranges: readonly Range[],
  points: number,
): Float64Array {
  const result = new Float64Array(points);
  for (const { from, to, width } of ranges) {
    for (let i = from; i < to; i++) result[codes[i]] += width * gradient[i];
  }
  return result;
}

/** Quantiles (j + ½)/n of where weights lie in their buckets. @returns f32 [n], ascending */
export function quantiles(u: Float64Array, n: number): Float32Array {
  const sorted = u.toSorted();
  return Float32Array.from({ length: n }, (_, j) => {
    const at = ((j + 0.5) / n) * (sorted.length - 1);
    const below = Math.floor(at);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
  });
}
