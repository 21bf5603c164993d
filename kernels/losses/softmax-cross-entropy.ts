// The task loss L_S (methods/README.md) with its gradient and the two accuracies, as torch.nn.CrossEntropyLoss defines
// it.
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { KernelSequence } from "../text/kernel.ts";
import { laneReduce } from "../text/lane-reduce.ts";

/** Classes up to which one invocation takes a whole sample: a barrier costs more than the loop. */
const SERIAL_CLASSES = 64;
const LANES = 64;

/**
 * logits f32 [n][classes], labels u32 [n] → dlogits f32 [n][classes], the gradient of the mean loss, and metrics f32
 * [3]: mean loss, fraction of samples whose label ranks first, fraction whose label ranks below `topK`. A label's rank
 * is the number of classes with a greater logit, plus those with an equal logit and a lower number. Label smoothing ε:
 * the target is (1 − ε)·onehot + ε/classes.
 */
export function softmaxCrossEntropy(o: {
  readonly n: number;
  readonly classes: number;
  readonly labelSmoothing: number;
  readonly topK?: 5;
}): KernelSequence {
  const constants = { N: o.n, CLASSES: o.classes, TOP: o.topK ?? 5 };
  const lanes = o.classes <= SERIAL_CLASSES ? 1 : LANES;
  const each = (statement: string) =>
    `for (var i = lane; i < CLASSES; i += ${lanes}u) { let z = logits[start + i]; ${statement} }`;
  const sum = (a: string, b: string) => `${a} + ${b}`;
  const rows = kernel({
    label: `softmaxCrossEntropy ${o.n}x${o.classes}`,
    constants,
    floats: { SMOOTHING: o.labelSmoothing },
    ...(lanes > 1 ? { declarations: `var<workgroup> cell: array<f32, ${lanes}>;` } : {}),
    storage: [read("logits"), read("labels", "u32"), readWrite("dlogits"), readWrite("scratch")],
    items: o.n * lanes,
    workgroupSize: lanes > 1 ? lanes : 8,
    barriers: true,
    body: `
let lane = index % ${lanes}u;
let present = index / ${lanes}u < N;
let sample = min(index / ${lanes}u, N - 1u);
let start = sample * CLASSES;
let label = min(labels[sample], CLASSES - 1u);
let own = logits[start + label];
var largest = -0x1.fffffep+127f;
${each("largest = max(largest, z);")}
${laneReduce(lanes, "largest", (a, b) => `max(${a}, ${b})`)}
var total = 0.0;
var sum_z = 0.0;
var rank = 0.0;
${each("total += exp(max(z - largest, -87.0)); sum_z += z - largest; rank += select(0.0, 1.0, (z > own) | ((z == own) & (i < label)));")}
${laneReduce(lanes, "total", sum)}
${laneReduce(lanes, "sum_z", sum)}
${laneReduce(lanes, "rank", sum)}
if (present && lane == 0u) {
  let log_total = log(max(total, 1.0));
  scratch[sample] = log_total - (1.0 - SMOOTHING) * (own - largest) - SMOOTHING * sum_z / f32(CLASSES);
  scratch[N + sample] = rank;
}
if (present) {
  ${each(`
    let p = exp(max(z - largest, -87.0)) / total;
    let wanted = select(0.0, 1.0 - SMOOTHING, i == label) + SMOOTHING / f32(CLASSES);
    dlogits[start + i] = (p - wanted) / f32(N);`)}
}`,
  });
  const metrics = kernel({
    label: `softmaxCrossEntropy metrics ${o.n}`,
    constants,
    storage: [read("scratch"), readWrite("metrics")],
    items: 1,
    workgroupSize: 1,
    body: `
var loss = 0.0;
var first = 0.0;
var top = 0.0;
for (var i = 0u; i < N; i++) {
  loss += scratch[i];
  first += select(0.0, 1.0, scratch[N + i] < 1.0);
  top += select(0.0, 1.0, scratch[N + i] < f32(TOP));
}
metrics[0] = loss / f32(N);
metrics[1] = first / f32(N);
metrics[2] = top / f32(N);`,
  });
  return { kernels: [rows, metrics], scratchBytes: 8 * o.n };
}
