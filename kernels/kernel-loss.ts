// L_Kernel of one layer (METHOD §2) in the `direct` mode: Ŵ is a constant, so ∂/∂W = λ(W − C⊙Ŵ).
import { type Rectify, rectifyShape } from "../shared/rectify.ts";
import { kernel, read, readWrite } from "./dispatch.ts";
import type { KernelSequence } from "./kernel.ts";

/** Address of member i of the group that shares entry e of C: (i / inner)·outer + e·step + i % inner. */
export function sharedElements(rectify: Rectify, out: number, taps: number, input: number) {
  const plane = taps * input;
  switch (rectify) {
    case "kernel":
      return { inner: input, outer: plane, step: input };
    case "layer":
      return { inner: out * plane, outer: 0, step: 0 };
    case "out":
      return { inner: plane, outer: 0, step: plane };
    case "filter":
      return { inner: 1, outer: plane, step: 1 };
    default:
      return rectify satisfies never;
  }
}

/**
 * weight f32 [out][kernel][kernel][in], the latent W; c f32 of rectifyShape → loss f32 [1] = λ/2 Σ(W − C⊙Ŵ)²,
 * dweight = λ(W − C⊙Ŵ), dc (c's shape) = −λ Σ Ŵ(W − C⊙Ŵ) over what shares an entry. As Ŵ = ±1, Ŵ(W − CŴ) = |W| − C.
 */
export function kernelLoss(o: {
  readonly out: number;
  readonly kernel: number;
  readonly in: number;
  readonly rectify: Rectify;
  readonly lambda: number;
}): KernelSequence {
  const taps = o.kernel * o.kernel;
  const total = o.out * taps * o.in;
  const entries = rectifyShape(o.rectify, o.out, o.kernel, o.in).reduce((a, b) => a * b, 1);
  const members = total / entries;
  const blocks = Math.min(Math.ceil(2048 / entries), Math.ceil(members / 32));
  const { inner, outer, step } = sharedElements(o.rectify, o.out, taps, o.in);
  const shape = `${o.out}x${o.kernel}x${o.kernel}x${o.in} ${o.rectify}`;
  const constants = { ENTRIES: entries, BLOCKS: blocks, MEMBERS: members, LENGTH: Math.ceil(members / blocks) };
  const partial = kernel({
    label: `kernelLoss partial ${shape}`,
    constants: { ...constants, INNER: inner, OUTER: outer, STEP: step },
    floats: { LAMBDA: o.lambda },
    storage: [read("weight"), read("c"), readWrite("dweight"), readWrite("scratch")],
    items: entries * blocks,
    body: `
let entry = index % ENTRIES;
let block = index / ENTRIES;
let scale = c[entry];
let end = min(MEMBERS, (block + 1u) * LENGTH);
var distance = 0.0;
var squares = 0.0;
for (var i = block * LENGTH; i < end; i++) {
  let at = (i / INNER) * OUTER + entry * STEP + i % INNER;
  let v = weight[at];
  let d = abs(v) - scale;
  distance += d;
  squares += d * d;
  dweight[at] = LAMBDA * select(d, -d, v < 0.0);
}
scratch[index] = distance;
scratch[ENTRIES * BLOCKS + index] = squares;`,
  });
  const combine = kernel({
    label: `kernelLoss dc ${shape}`,
    constants,
    floats: { LAMBDA: o.lambda },
    storage: [readWrite("dc"), readWrite("scratch")],
    items: entries,
    body: `
var distance = 0.0;
var squares = 0.0;
for (var block = 0u; block < BLOCKS; block++) {
  distance += scratch[block * ENTRIES + index];
  squares += scratch[(BLOCKS + block) * ENTRIES + index];
}
dc[index] = -LAMBDA * distance;
scratch[BLOCKS * ENTRIES + index] = squares;`,
  });
  const loss = kernel({
    label: `kernelLoss loss ${shape}`,
    constants,
    floats: { LAMBDA: o.lambda },
    declarations: "var<workgroup> part: array<f32, 64>;",
    storage: [read("scratch"), readWrite("loss")],
    items: 64,
    workgroupSize: 64,
    barriers: true,
    body: `
var squares = 0.0;
for (var i = index; i < ENTRIES; i += 64u) { squares += scratch[BLOCKS * ENTRIES + i]; }
part[local] = squares;
workgroupBarrier();
if (local == 0u) {
  var whole = 0.0;
  for (var i = 0u; i < 64u; i++) { whole += part[i]; }
  loss[0] = 0.5 * LAMBDA * whole;
}`,
  });
  return { kernels: [partial, combine, loss], scratchBytes: 8 * entries * blocks };
}
