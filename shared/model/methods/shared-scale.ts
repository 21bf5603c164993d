// Scales that elements of W share: which entry each has, and the one that is nearest to W.

import type { LatentLayer } from "./method.ts";

/** Shape of a scale in OHWI order; an axis of 1 is shared. */
export type ScaleShape = readonly [number, number, number, number];

/**
 * Index into the scale for each element of W, both in OHWI order; an axis of the scale with size 1 is shared.
 * @returns u32 of W's size
 */
export function rectifierIndex(w: LatentLayer["shape"], c: ScaleShape): Uint32Array {
  const index = new Uint32Array(w[0] * w[1] * w[2] * w[3]);
  const stride = [c[1] * c[2] * c[3], c[2] * c[3], c[3], 1].map((s, axis) => (c[axis] === 1 ? 0 : s));
  let at = 0;
  for (let o = 0; o < w[0]; o++) {
    for (let y = 0; y < w[1]; y++) {
      for (let x = 0; x < w[2]; x++) {
        const base = o * stride[0] + y * stride[1] + x * stride[2];
        for (let i = 0; i < w[3]; i++) index[at++] = base + i * stride[3];
      }
    }
  }
  return index;
}

/**
 * The mean of |W| over the elements that share an entry: for fixed W the scale that makes ‖W − scale ⊙ sign W‖ least
 * (XNOR-Net, Rastegari et al. 2016, eq. 6; RBCN's C starts there).
 * @returns f32 of the scale's size
 */
export function bestRectifier(
  shape: LatentLayer["shape"],
  rectifierShape: ScaleShape,
  weight: Float32Array,
): Float32Array {
  const index = rectifierIndex(shape, rectifierShape);
  const sum = new Float64Array(rectifierShape.reduce((a, b) => a * b));
  for (let i = 0; i < weight.length; i++) sum[index[i]] += Math.abs(weight[i]);
  const share = weight.length / sum.length;
  return Float32Array.from(sum, (s) => s / share);
}

/** α of XNOR-Net and Bi-Real net: the mean of |W| of each filter. f32 [out] */
export function filterScale({ shape, weight }: Pick<LatentLayer, "shape" | "weight">): Float32Array {
  return bestRectifier(shape, [shape[0], 1, 1, 1], weight);
}
