// The squared distance of what two networks computed: of logits, or of feature maps, the other's quantised to k bits
// (Zhuang et al., CVPR 2018, whose released code compares logits).
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { KernelSequence } from "../text/kernel.ts";

/** Invocations that share the sum, and the elements that each has at least. */
const MOST_PARTS = 4096;
const LEAST_ELEMENTS = 16;
const LANES = 64;

export interface SquaredDistance {
  readonly size: number;
  /** Of the sum of squares in the loss. */
  readonly factor: number;
  /** Of the loss in what the gradients are of. */
  readonly weight: number;
  /** Q rounds to so many bits of [0, 1], ties to even, slope 1 inside; 0: Q is the identity. */
  readonly bits: number;
  /** The other learns, too, its own side; else it is held constant. */
  readonly otherGradient: boolean;
  /** Whether a gradient is added to what is there, or written. */
  readonly accumulate: boolean;
  readonly accumulateOther?: boolean;
}

/**
 * x, other f32 [size] → loss f32 [1] = factor·Σ (x − Q(other))², unweighted; dx (+)= 2·weight·factor·(x − Q(other)),
 * dother (with `otherGradient`) (+)= its negative, where Q has a slope.
 */
export function squaredDistance(o: SquaredDistance): KernelSequence {
  const parts = Math.min(MOST_PARTS, Math.ceil(o.size / LEAST_ELEMENTS));
  const levels = 2 ** o.bits - 1;
  const quantised = o.bits === 0 ? "t" : "round(LEVELS * clamp(t, 0.0, 1.0)) / LEVELS";
  const slope = o.bits === 0 ? "-g" : "select(0.0, -g, (t >= 0.0) & (t <= 1.0))";
  const squares = kernel({
    label: `squaredDistance ${o.size}`,
    constants: { SIZE: o.size },
    floats: { WEIGHT: 2 * o.weight * o.factor, ...(o.bits === 0 ? {} : { LEVELS: levels }) },
    storage: [
      read("x"),
      read("other"),
      readWrite("dx"),
      ...(o.otherGradient ? [readWrite("dother")] : []),
      readWrite("scratch"),
    ],
    items: parts,
    body: `
var sum = 0.0;
for (var i = index; i < SIZE; i += ${parts}u) {
  let t = other[i];
  let d = x[i] - ${quantised};
  sum += d * d;
  let g = WEIGHT * d;
  dx[i] ${o.accumulate ? "+=" : "="} g;
  ${o.otherGradient ? `dother[i] ${o.accumulateOther ? "+=" : "="} ${slope};` : ""}
}
scratch[index] = sum;`,
  });
  const whole = kernel({
    label: `squaredDistance sum ${parts}`,
    constants: { PARTS: parts },
    floats: { FACTOR: o.factor },
    declarations: `var<workgroup> part: array<f32, ${LANES}>;`,
    storage: [read("scratch"), readWrite("loss")],
    items: LANES,
    workgroupSize: LANES,
    barriers: true,
    body: `
var sum = 0.0;
for (var i = index; i < PARTS; i += ${LANES}u) { sum += scratch[i]; }
part[local] = sum;
workgroupBarrier();
if (local == 0u) {
  var all = 0.0;
  for (var i = 0u; i < ${LANES}u; i++) { all += part[i]; }
  loss[0] = FACTOR * all;
}`,
  });
  return { kernels: [squares, whole], scratchBytes: 4 * parts };
}
