// L_Kernel of one layer (methods/README.md) in the `direct` mode: Ŵ is a constant, so ∂/∂W = λ(W − C⊙Ŵ).

import { eachMember, type RectifiedLayer, sharedScale } from "../convolution/registers/shared-scale.ts";
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { KernelSequence } from "../text/kernel.ts";

/**
 * weight f32 [out][kernel][kernel][in], the latent W; c f32 of rectifyShape → loss f32 [1] = λ/2 Σ(W − C⊙Ŵ)²,
 * dweight = λ(W − C⊙Ŵ), dc (c's shape) = −λ Σ Ŵ(W − C⊙Ŵ) over what shares an entry. As Ŵ = ±1, Ŵ(W − CŴ) = |W| − C.
 */
export function kernelLoss(o: RectifiedLayer & { readonly lambda: number }): KernelSequence {
  const { entries, blocks, shape, totals, constants } = sharedScale(o);
  const partial = kernel({
    label: `kernelLoss partial ${shape}`,
    constants,
    floats: { LAMBDA: o.lambda },
    storage: [read("weight"), read("c"), readWrite("dweight"), readWrite("scratch")],
    items: entries * blocks,
    body: `${eachMember(
      "var distance = 0.0;\nvar squares = 0.0;",
      `let v = weight[at];
let d = abs(v) - scale;
distance += d;
squares += d * d;
dweight[at] = LAMBDA * select(d, -d, v < 0.0);`,
    )}
scratch[index] = distance;
scratch[ENTRIES * BLOCKS + index] = squares;`,
  });
  const combine = kernel({
    label: `kernelLoss dc ${shape}`,
    constants: totals,
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
    constants: totals,
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
