// From ∂L/∂(Ŵ⊙C) of a binary layer to the gradients of its latent W and of C, L_Kernel's among them (methods/README.md;
// RBCN eq. 3.71-3.73).
import type { KernelGradient } from "../../shared/model/methods/rbcn.ts";
import { eachMember, type RectifiedLayer, sharedScale } from "../convolution/registers/shared-scale.ts";
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { KernelSequence } from "../text/kernel.ts";

/**
 * gradient f32 [out][kernel][kernel][in], in place: G ← G·C·surrogate(W) + L_Kernel's; weight f32, the latent W; c f32
 * of rectifyShape → dc (c's shape) = Σ Ŵ(G − λ(W − C⊙Ŵ)) over what shares an entry, in partial sums that are added in
 * order.
 */
export function latentGradient(
  o: RectifiedLayer & { readonly lambda: number; readonly kernelGradient: KernelGradient },
): KernelSequence {
  const { entries, blocks, shape, totals, constants } = sharedScale(o);
  const partial = kernel({
    label: `latentGradient ${shape}`,
    constants,
    floats: {
      LAMBDA: o.lambda,
      DIRECT: o.kernelGradient === "literal" ? 0 : o.lambda,
      THROUGH: o.kernelGradient === "direct" ? 0 : o.lambda,
    },
    storage: [readWrite("gradient"), read("weight"), read("c"), readWrite("scratch")],
    items: entries * blocks,
    body: `${eachMember(
      "var sum = 0.0;",
      `let w = weight[at];
let g = gradient[at];
let sign = select(1.0, -1.0, w < 0.0);
let residual = w - scale * sign;
let through = scale * select(0.0, 2.0 - 2.0 * abs(w), (w >= -1.0) & (w < 1.0));
sum += sign * (g - LAMBDA * residual);
gradient[at] = (g - THROUGH * residual) * through + DIRECT * residual;`,
    )}
scratch[index] = sum;`,
  });
  const combine = kernel({
    label: `latentGradient dc ${shape}`,
    constants: totals,
    storage: [read("scratch"), readWrite("dc")],
    items: entries,
    body: `
var sum = 0.0;
for (var block = 0u; block < BLOCKS; block++) { sum += scratch[block * ENTRIES + index]; }
dc[index] = sum;`,
  });
  return { kernels: [partial, combine], scratchBytes: 4 * entries * blocks };
}
