// What the discriminators answer of a microbatch, for whoever watches the game: D of the teacher's maps and of the
// student's, as probabilities. Nothing trains on it.

import { memberStride } from "../layers/grouped-linear.ts";
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { SIGMOID } from "./sigmoid.ts";

const LANES = 64;

/**
 * logits f32 [layers][2][n], members at multiples of 64 elements: the teacher's, then the student's → metrics[at + 2·i]
 * = mean σ of the i-th layer's first, metrics[at + 2·i + 1] of its second.
 */
export function criticAnswers(o: { readonly layers: number; readonly n: number; readonly at: number }): Kernel {
  return kernel({
    label: `criticAnswers ${o.layers}x${o.n}`,
    constants: { N: o.n, MEMBER: memberStride(o.n, 1), AT: o.at },
    declarations: `
var<workgroup> real_part: array<f32, ${LANES}>;
var<workgroup> fake_part: array<f32, ${LANES}>;${SIGMOID}`,
    storage: [read("logits"), readWrite("metrics")],
    items: o.layers * LANES,
    workgroupSize: LANES,
    barriers: true,
    body: `
let layer = index / ${LANES}u;
let real = layer * 2u * MEMBER;
let fake = real + MEMBER;
var r_part = 0.0;
var t_part = 0.0;
if (layer < ${o.layers}u) {
  for (var i = local; i < N; i += ${LANES}u) {
    r_part += sigmoid(logits[real + i]);
    t_part += sigmoid(logits[fake + i]);
  }
}
real_part[local] = r_part;
fake_part[local] = t_part;
workgroupBarrier();
if ((local == 0u) & (layer < ${o.layers}u)) {
  var r_total = 0.0;
  var t_total = 0.0;
  for (var i = 0u; i < ${LANES}u; i++) {
    r_total += real_part[i];
    t_total += fake_part[i];
  }
  metrics[AT + 2u * layer] = r_total / f32(N);
  metrics[AT + 2u * layer + 1u] = t_total / f32(N);
}`,
  });
}
