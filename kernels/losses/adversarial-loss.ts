// L_Adv of every compared layer (methods/README.md): the discriminators' cross-entropy and the generator's least
// squares, from the same logits.

import { memberStride } from "../layers/grouped-linear.ts";
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { SIGMOID } from "./sigmoid.ts";

const LANES = 64;

/**
 * logits f32 [layers][2][n]: r = D's logits of the teacher's maps, then t = of the student's. Members start at
 * multiples of 64 elements (memberStride). With σ the sigmoid,
 *
 * - dlogits f32 [layers][2][n] = gradient of weight·(mean softplus(−r) + mean softplus(t)) with respect to r and t,
 * - turn f32 [layers][n], bound where lambda > 0: times dlogits of t, the gradient of lambda·weight·mean (1 − σ(t))²
 * with respect to t. Going back is linear in a row's dlogit, so whatever t's gradient became may still be turned into
 * the generator's,
 * - metrics f32 [layers][2] = mean softplus(−r) + mean softplus(t), mean (1 − σ(t))², both unweighted.
 */
export function adversarialLoss(o: {
  readonly layers: number;
  readonly n: number;
  readonly weight: number;
  readonly lambda: number;
}): Kernel {
  const turns = o.lambda > 0;
  return kernel({
    label: `adversarialLoss ${o.layers}x${o.n}`,
    constants: { N: o.n, MEMBER: memberStride(o.n, 1) },
    floats: { WEIGHT: o.weight / o.n, LAMBDA: o.lambda },
    declarations: `
var<workgroup> d_loss: array<f32, ${LANES}>;
var<workgroup> g_loss: array<f32, ${LANES}>;${SIGMOID}
fn softplus(z: f32) -> f32 {
  let e = decay(z);
  return max(z, 0.0) + select(log(1.0 + e), e - 0.5 * e * e, e < 1e-3);
}`,
    storage: [read("logits"), readWrite("dlogits"), ...(turns ? [readWrite("turn")] : []), readWrite("metrics")],
    items: o.layers * LANES,
    workgroupSize: LANES,
    barriers: true,
    body: `
let layer = index / ${LANES}u;
let real = layer * 2u * MEMBER;
let fake = real + MEMBER;
var d_part = 0.0;
var g_part = 0.0;
if (layer < ${o.layers}u) {
  for (var i = local; i < N; i += ${LANES}u) {
    let r = logits[real + i];
    let t = logits[fake + i];
    let caught = sigmoid(-t);
    dlogits[real + i] = -WEIGHT * sigmoid(-r);
    dlogits[fake + i] = WEIGHT * sigmoid(t);
    ${turns ? "turn[layer * MEMBER + i] = -2.0 * LAMBDA * caught * caught;" : ""}
    d_part += softplus(-r) + softplus(t);
    g_part += caught * caught;
  }
}
d_loss[local] = d_part;
g_loss[local] = g_part;
workgroupBarrier();
if ((local == 0u) & (layer < ${o.layers}u)) {
  var d_total = 0.0;
  var g_total = 0.0;
  for (var i = 0u; i < ${LANES}u; i++) {
    d_total += d_loss[i];
    g_total += g_loss[i];
  }
  metrics[2u * layer] = d_total / f32(N);
  metrics[2u * layer + 1u] = g_total / f32(N);
}`,
  });
}
