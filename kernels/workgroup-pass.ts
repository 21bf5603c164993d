// The convolution passes over workgroup memory: same bindings, layouts and bits as the register kernels, for GPUs.
import type { ConvolutionPass } from "./convolution-pass.ts";
import type { KernelSequence } from "./kernel.ts";
import type { WorkgroupTiling } from "./tiling.ts";
import { workgroupKernel } from "./workgroup-kernel.ts";
import { workgroupPlan } from "./workgroup-plan.ts";

export { workgroupTilings } from "./workgroup-tilings.ts";

/**
 * The kernels of a pass, tiled as told. Rows and columns of an invocation are multiples of 4, and so is the depth. With `half`
 * the device needs `shader-f16`.
 */
export function workgroupPass(pass: ConvolutionPass, tiling: WorkgroupTiling): KernelSequence {
  const { product, after, scratchBytes } = workgroupPlan(pass, tiling);
  return { kernels: [workgroupKernel(product), ...after], scratchBytes };
}
