// What finds a target again: features of one exemplar correlated with those of many searches.

import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** Lanes that share the sum of an output. */
const LANES = 64;

export interface Correlate {
  readonly exemplar: { readonly h: number; readonly w: number };
  readonly search: { readonly h: number; readonly w: number };
  /** Searches. */
  readonly n: number;
  /** Floats of a position, channels and the zeros behind them: a multiple of four. */
  readonly stride: number;
  readonly scale: number;
}

/** x [n][h][w][stride], z [h][w][stride] → y [n][oh][ow], scale · Σ x · z. */
export function correlate({ exemplar, search, n, stride, scale }: Correlate): Kernel {
  const [oh, ow] = [search.h - exemplar.h + 1, search.w - exemplar.w + 1];
  const groups = stride / 4;
  return kernel({
    label: `infer correlate ${n}x${search.h}x${search.w}x${stride} with ${exemplar.h}x${exemplar.w}`,
    // What lies side by side in a row of both.
    constants: { ROW: exemplar.w * groups, TERMS: exemplar.h * exemplar.w * groups, GROUPS: groups, W: search.w },
    floats: { SCALE: scale },
    declarations: `var<workgroup> sums: array<f32, ${LANES}>;`,
    storage: [read("x", "vec4<f32>"), read("z", "vec4<f32>"), readWrite("y")],
    items: n * oh * ow * LANES,
    workgroupSize: LANES,
    barriers: true,
    body: `
let output = index / ${LANES}u;
let ox = output % ${ow}u;
let row = output / ${ow}u;
let corner = (row / ${oh}u * ${search.h}u + row % ${oh}u) * W + ox;
var sum = vec4<f32>();
if (output < ${n * oh * ow}u) {
for (var term = local; term < TERMS; term += ${LANES}u) {
sum += x[(corner + term / ROW * W) * GROUPS + term % ROW] * z[term];
}
}
sums[local] = (sum.x + sum.y) + (sum.z + sum.w);
for (var half = ${LANES / 2}u; half > 0u; half /= 2u) {
workgroupBarrier();
if (local < half) { sums[local] += sums[local + half]; }
}
if (local == 0u && output < ${n * oh * ow}u) { y[output] = sums[0] * SCALE; }`,
  });
}
