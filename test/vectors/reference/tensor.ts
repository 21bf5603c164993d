// Float64 tensors [n][h][w][c], and the loops over windows that every layer shares.

import type { Shape } from "../../../shared/model/graph.ts";

export interface Tensor extends Shape {
  readonly n: number;
  readonly values: Float64Array;
}

export function tensor(n: number, { h, w, c }: Shape, values = new Float64Array(n * h * w * c)): Tensor {
  return { n, h, w, c, values };
}

/** sign with sign(0) = +1. */
export function signOf(x: number): number {
  return x < 0 ? -1 : 1;
}

interface Window {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

/** Calls `each` with (place of the output pixel, place of the input pixel, tap), both in pixels, for taps inside. */
export function eachTap(
  x: Tensor,
  y: Tensor,
  { kernel, stride, padding }: Window,
  each: (to: number, from: number, tap: number) => void,
): void {
  for (let b = 0; b < y.n; b++)
    for (let oy = 0; oy < y.h; oy++)
      for (let ox = 0; ox < y.w; ox++)
        for (let ky = 0; ky < kernel; ky++)
          for (let kx = 0; kx < kernel; kx++) {
            const iy = oy * stride + ky - padding;
            const ix = ox * stride + kx - padding;
            if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w) continue;
            each((b * y.h + oy) * y.w + ox, (b * x.h + iy) * x.w + ix, ky * kernel + kx);
          }
}

/** Mean over positions, [n][c]. */
export function pooled({ n, h, w, c, values }: Tensor): Float64Array {
  const means = new Float64Array(n * c);
  values.forEach((value, i) => {
    means[Math.floor(i / (h * w * c)) * c + (i % c)] += value / (h * w);
  });
  return means;
}
