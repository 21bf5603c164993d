// A network that learns from another one's logits: the cross-entropy with soft targets (Hinton et al. 2015; Apprentice,
// Mishra and Marr, ICLR 2018) and T² times the divergence from them (Polino et al., ICLR 2018; mutual learning).
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { KernelSequence } from "../text/kernel.ts";
import { laneReduce } from "../text/lane-reduce.ts";

/** Classes up to which one invocation takes a whole row: a barrier costs more than the loop. */
const SERIAL_CLASSES = 64;
const LANES = 64;

/**
 * p − q + q·c with c = log(q/p): an element's part of the divergence, to which Σ (p − q) adds nothing, so that none is
 * below 0 and rounding of the logarithms' sums cancels. Where c is small it is q·(c²/2 − c³/6 + …).
 */
const EXCESS = `
fn excess(p: f32, q: f32, c: f32) -> f32 {
  let series = c * c * (0.5 - c * (1.0 / 6.0 - c * (1.0 / 24.0 - c * (1.0 / 120.0 - c * (1.0 / 720.0 - c / 5040.0)))));
  return select(max(p - q + q * c, 0.0), q * series, abs(c) < 0.5);
}`;

export interface SoftTargetLoss {
  readonly rows: number;
  readonly classes: number;
  /** T: both networks' logits are divided by it. */
  readonly temperature: number;
  /** H(q, p), or T²·KL(q ‖ p), with q of the targets and p of the logits. */
  readonly kind: "cross-entropy" | "divergence";
  /** Mean over rows, or over rows and classes, as PyTorch's KLDivLoss of `mean` has it. */
  readonly reduce: "batch" | "element";
  /** Of the loss in what the gradients are of. */
  readonly weight: number;
  /** The targets learn, too; else they are held constant. */
  readonly targetGradient: boolean;
}

/**
 * logits, targets f32 [rows][classes] → dlogits f32 [rows][classes] += weight·∂loss/∂logits, dtargets (with
 * `targetGradient`) += weight·∂loss/∂targets, loss f32 [1], unweighted. With p = softmax(logits/T), q =
 * softmax(targets/T): ∂H/∂logits = (p − q)/T; ∂H/∂targets = q(c − Σ q c)/T, c = −log p, or log q − log p of the
 * divergence.
 */
export function softTargetLoss(o: SoftTargetLoss): KernelSequence {
  const { rows: n, classes, temperature, targetGradient } = o;
  const lanes = classes <= SERIAL_CLASSES ? 1 : LANES;
  const square = o.kind === "divergence" ? temperature * temperature : 1;
  const terms = o.reduce === "element" ? n * classes : n;
  const each = (statement: string) =>
    `for (var i = start + lane; i < start + CLASSES; i += ${lanes}u) { ${statement} }`;
  const larger = (a: string, b: string) => `max(${a}, ${b})`;
  const sum = (a: string, b: string) => `${a} + ${b}`;
  const divergence = o.kind === "divergence";
  /** What an element costs: −log p, or log q − log p. */
  const cost = divergence
    ? "(log_total - log_q) - ((logits[i] - top) - (targets[i] - top_q)) * SHARPEN"
    : "log_total - (logits[i] - top) * SHARPEN";
  const term = divergence ? "excess(power(logits[i], top) / total, q, c)" : "q * c";
  const soft = kernel({
    label: `softTargetLoss ${o.kind} ${n}x${classes}`,
    constants: { N: n, CLASSES: classes },
    floats: { SHARPEN: 1 / temperature, WEIGHT: (o.weight * square) / (temperature * terms) },
    declarations: `${lanes > 1 ? `var<workgroup> cell: array<f32, ${lanes}>;` : ""}
fn power(z: f32, top: f32) -> f32 { return exp(max((z - top) * SHARPEN, -87.0)); }
${divergence ? EXCESS : ""}`,
    storage: [
      read("logits"),
      read("targets"),
      readWrite("dlogits"),
      ...(targetGradient ? [readWrite("dtargets")] : []),
      readWrite("scratch"),
    ],
    items: n * lanes,
    workgroupSize: lanes > 1 ? lanes : 8,
    barriers: true,
    body: `
let lane = index % ${lanes}u;
let present = index / ${lanes}u < N;
let row = min(index / ${lanes}u, N - 1u);
let start = row * CLASSES;
var top = -0x1.fffffep+127f;
var top_q = top;
${each("top = max(top, logits[i]); top_q = max(top_q, targets[i]);")}
${laneReduce(lanes, "top", larger)}
${laneReduce(lanes, "top_q", larger)}
var total = 0.0;
var total_q = 0.0;
${each("total += power(logits[i], top); total_q += power(targets[i], top_q);")}
${laneReduce(lanes, "total", sum)}
${laneReduce(lanes, "total_q", sum)}
let log_total = log(max(total, 1.0));
let log_q = log(max(total_q, 1.0));
var loss = 0.0;
${each(`let q = power(targets[i], top_q) / total_q; let c = ${cost}; loss += ${term};`)}
${laneReduce(lanes, "loss", sum)}
if (present && lane == 0u) { scratch[row] = loss; }
if (present) {
  ${each(`
    let p = power(logits[i], top) / total;
    let q = power(targets[i], top_q) / total_q;
    dlogits[i] += WEIGHT * (p - q);
    ${targetGradient ? `dtargets[i] += WEIGHT * q * (${cost} - loss);` : ""}`)}
}`,
  });
  const whole = kernel({
    label: `softTargetLoss sum ${n}`,
    constants: { N: n },
    floats: { SCALE: square / terms },
    storage: [read("scratch"), readWrite("loss")],
    items: 1,
    workgroupSize: 1,
    body: `
var sum = 0.0;
for (var i = 0u; i < N; i++) { sum += scratch[i]; }
loss[0] = SCALE * max(sum, 0.0);`,
  });
  return { kernels: [soft, whole], scratchBytes: 4 * n };
}
