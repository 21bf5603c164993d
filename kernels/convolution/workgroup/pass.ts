// The convolution passes over workgroup memory: same bindings, layouts and bits as the register kernels, for GPUs.

import type { KernelSequence } from "../../text/kernel.ts";
import type { ConvolutionPass } from "../pass/pass.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { workgroupKernel } from "./kernel.ts";
import { workgroupPlan } from "./plan.ts";

export { workgroupTilings } from "./tilings.ts";

/**
 * The kernels of a pass, tiled as told. Rows and columns of an invocation are multiples of 4, and so is the depth. With
 * `half` the device needs `shader-f16`.
 */
export function workgroupPass(pass: ConvolutionPass, tiling: WorkgroupTiling): KernelSequence {
  const { product, after, scratchBytes } = workgroupPlan(pass, tiling);
  return { kernels: [workgroupKernel(product), ...after], scratchBytes };
}
