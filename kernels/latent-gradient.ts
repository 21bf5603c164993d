// From ∂L/∂(Ŵ⊙C) of a binary layer to the gradients of its latent W and of C, L_Kernel's among them (METHOD §2; RBCN eq. 3.71-3.73).
import type { KernelGradient } from "../shared/method.ts";
import { type Rectify, rectifyShape } from "../shared/rectify.ts";
import { kernel, read, readWrite } from "./dispatch.ts";
import type { KernelSequence } from "./kernel.ts";
import { sharedElements } from "./kernel-loss.ts";

/**
 * gradient f32 [out][kernel][kernel][in], in place: G ← G·C·surrogate(W) + L_Kernel's; weight f32, the latent W; c f32 of
 * rectifyShape → dc (c's shape) = Σ Ŵ(G − λ(W − C⊙Ŵ)) over what shares an entry, in partial sums that are added in order.
 */
export function latentGradient(o: {
  readonly out: number;
  readonly kernel: number;
  readonly in: number;
  readonly rectify: Rectify;
  readonly lambda: number;
  readonly kernelGradient: KernelGradient;
}): KernelSequence {
  const taps = o.kernel * o.kernel;
  const entries = rectifyShape(o.rectify, o.out, o.kernel, o.in).reduce((a, b) => a * b, 1);
  const members = (o.out * taps * o.in) / entries;
  const blocks = Math.min(Math.ceil(2048 / entries), Math.ceil(members / 32));
  const { inner, outer, step } = sharedElements(o.rectify, o.out, taps, o.in);
  const shape = `${o.out}x${o.kernel}x${o.kernel}x${o.in} ${o.rectify}`;
  const constants = { ENTRIES: entries, BLOCKS: blocks };
  const partial = kernel({
    label: `latentGradient ${shape}`,
    constants: {
      ...constants,
      MEMBERS: members,
      LENGTH: Math.ceil(members / blocks),
      INNER: inner,
      OUTER: outer,
      STEP: step,
    },
    floats: {
      LAMBDA: o.lambda,
      DIRECT: o.kernelGradient === "literal" ? 0 : o.lambda,
      THROUGH: o.kernelGradient === "direct" ? 0 : o.lambda,
    },
    storage: [readWrite("gradient"), read("weight"), read("c"), readWrite("scratch")],
    items: entries * blocks,
    body: `
let entry = index % ENTRIES;
let block = index / ENTRIES;
let scale = c[entry];
let end = min(MEMBERS, (block + 1u) * LENGTH);
var sum = 0.0;
for (var i = block * LENGTH; i < end; i++) {
  let at = (i / INNER) * OUTER + entry * STEP + i % INNER;
  let w = weight[at];
  let g = gradient[at];
  let sign = select(1.0, -1.0, w < 0.0);
  let residual = w - scale * sign;
  let through = scale * select(0.0, 2.0 - 2.0 * abs(w), (w >= -1.0) & (w < 1.0));
  sum += sign * (g - LAMBDA * residual);
  gradient[at] = (g - THROUGH * residual) * through + DIRECT * residual;
}
scratch[index] = sum;`,
  });
  const combine = kernel({
    label: `latentGradient dc ${shape}`,
    constants,
    storage: [read("scratch"), readWrite("dc")],
    items: entries,
    body: `
var sum = 0.0;
for (var block = 0u; block < BLOCKS; block++) { sum += scratch[block * ENTRIES + index]; }
dc[index] = sum;`,
  });
  return { kernels: [partial, combine], scratchBytes: 4 * entries * blocks };
}
