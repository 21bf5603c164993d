// L_Adv of one layer (METHOD §2): the discriminator's cross-entropy and the generator's least squares, from the same logits.
import { kernel, read, readWrite } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";

const LANES = 64;

/**
 * logits f32 [2n]: r = D's logits of the teacher's maps, then t = of the student's. With σ the sigmoid,
 *
 * - dlogitsD f32 [2n] = gradient of discriminatorWeight·(mean softplus(−r) + mean softplus(t)),
 * - dlogitsG f32 [n] = gradient of generatorWeight·mean (1 − σ(t))² with respect to t,
 * - metrics f32 [2] = mean softplus(−r) + mean softplus(t), mean (1 − σ(t))², both unweighted.
 */
export function adversarialLoss(o: {
  readonly n: number;
  readonly discriminatorWeight: number;
  readonly generatorWeight: number;
}): Kernel {
  return kernel({
    label: `adversarialLoss ${o.n}`,
    constants: { N: o.n },
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
    storage: [read("logits"), readWrite("dlogitsD"), readWrite("dlogitsG"), readWrite("metrics")],
    items: LANES,
    workgroupSize: LANES,
    barriers: true,
    body: `
var d_part = 0.0;
var g_part = 0.0;
for (var i = index; i < N; i += ${LANES}u) {
  let r = logits[i];
  let t = logits[N + i];
  let fooled = sigmoid(t);
  let caught = sigmoid(-t);
  dlogitsD[i] = -D_WEIGHT * sigmoid(-r);
  dlogitsD[N + i] = D_WEIGHT * fooled;
  dlogitsG[i] = -2.0 * G_WEIGHT * caught * caught * fooled;
  d_part += softplus(-r) + softplus(t);
  g_part += caught * caught;
}
d_loss[local] = d_part;
g_loss[local] = g_part;
workgroupBarrier();
if (local == 0u) {
  var d_total = 0.0;
  var g_total = 0.0;
  for (var i = 0u; i < ${LANES}u; i++) {
    d_total += d_loss[i];
    g_total += g_loss[i];
  }
  metrics[0] = d_total / f32(N);
  metrics[1] = g_total / f32(N);
}`,
  });
}
