// L_Adv of every compared layer (METHOD §2): the discriminators' cross-entropy and the generator's least squares, from the same logits.
import { kernel, read, readWrite } from "./dispatch.ts";
import { memberStride } from "./grouped-linear.ts";
import type { Kernel } from "./kernel.ts";

const LANES = 64;

/**
 * logits f32 [layers][2][n]: r = D's logits of the teacher's maps, then t = of the student's. Members start at multiples of 64
 * elements (memberStride). With σ the sigmoid,
 *
 * - dlogits f32 [layers][members][n]: members 0 and 1 are the gradient of discriminatorWeight·(mean softplus(−r) + mean softplus(t))
 *   with respect to r and t; member 2, where there is one, of generatorWeight·mean (1 − σ(t))² with respect to t,
 * - metrics f32 [layers][2] = mean softplus(−r) + mean softplus(t), mean (1 − σ(t))², both unweighted.
 */
export function adversarialLoss(o: {
  readonly layers: number;
  readonly n: number;
  readonly members: 2 | 3;
  readonly discriminatorWeight: number;
  readonly generatorWeight: number;
}): Kernel {
  return kernel({
    label: `adversarialLoss ${o.layers}x${o.members}x${o.n}`,
    constants: { N: o.n, MEMBER: memberStride(o.n, 1) },
    floats: { D_WEIGHT: o.discriminatorWeight / o.n, G_WEIGHT: o.generatorWeight / o.n },
    declarations: `
var<workgroup> d_loss: array<f32, ${LANES}>;
var<workgroup> g_loss: array<f32, ${LANES}>;
fn decay(z: f32) -> f32 { return exp(-min(abs(z), 87.0)); }
fn sigmoid(z: f32) -> f32 {
  let e = decay(z);
  return select(e, 1.0, z >= 0.0) / (1.0 + e);
}
fn softplus(z: f32) -> f32 {
  let e = decay(z);
  return max(z, 0.0) + select(log(1.0 + e), e - 0.5 * e * e, e < 1e-3);
}`,
    storage: [read("logits"), readWrite("dlogits"), readWrite("metrics")],
    items: o.layers * LANES,
    workgroupSize: LANES,
    barriers: true,
    body: `
let layer = index / ${LANES}u;
let source = layer * 2u * MEMBER;
let target_base = layer * ${o.members}u * MEMBER;
var d_part = 0.0;
var g_part = 0.0;
if (layer < ${o.layers}u) {
  for (var i = local; i < N; i += ${LANES}u) {
    let r = logits[source + i];
    let t = logits[source + MEMBER + i];
    let fooled = sigmoid(t);
    let caught = sigmoid(-t);
    dlogits[target_base + i] = -D_WEIGHT * sigmoid(-r);
    dlogits[target_base + MEMBER + i] = D_WEIGHT * fooled;
    ${o.members === 3 ? "dlogits[target_base + 2u * MEMBER + i] = -2.0 * G_WEIGHT * caught * caught * fooled;" : ""}
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
