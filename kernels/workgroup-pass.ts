// The convolution passes over workgroup memory: same bindings, layouts and bits as the register kernels, for GPUs.
import type { ConvolutionPass } from "./convolution-pass.ts";
import type { KernelSequence } from "./kernel.ts";
import type { WorkgroupTiling } from "./tiling.ts";
import { workgroupConvForward, workgroupFilterForward } from "./workgroup-forward.ts";
import { workgroupBinaryInputGradient, workgroupConvInputGradient } from "./workgroup-input-gradient.ts";
import { workgroupPopcountForward } from "./workgroup-popcount.ts";
import { type WorkgroupPlan, workgroupKernel } from "./workgroup-product.ts";
import { workgroupBinaryWeightGradient, workgroupConvWeightGradient } from "./workgroup-weight-gradient.ts";

/** What a pass does, before it is written out. */
export function workgroupPlan(pass: ConvolutionPass, tiling: WorkgroupTiling): WorkgroupPlan {
  switch (pass.verb) {
    case "convForward":
      return workgroupConvForward(pass, tiling);
    case "convInputGradient":
      return workgroupConvInputGradient(pass, tiling);
    case "convWeightGradient":
      return workgroupConvWeightGradient(pass.shape, tiling);
    case "binaryConvForward": {
      const { shape, rectify } = pass;
      if (rectify === "filter") return workgroupFilterForward(shape, tiling);
      return workgroupPopcountForward({ shape, rectify }, tiling);
    }
    case "binaryConvInputGradient":
      return workgroupBinaryInputGradient(pass, tiling);
    case "binaryConvWeightGradient":
      return workgroupBinaryWeightGradient(pass.shape, tiling);
    default:
      return pass satisfies never;
  }
}

/**
 * The kernels of a pass, tiled as told. Rows and columns of an invocation are multiples of 4, and so is the depth. With `half`
 * the device needs `shader-f16`.
 */
export function workgroupPass(pass: ConvolutionPass, tiling: WorkgroupTiling): KernelSequence {
  const { product, after, scratchBytes } = workgroupPlan(pass, tiling);
  return { kernels: [workgroupKernel(product), ...after], scratchBytes };
}
