// Which product over workgroup memory a convolution pass is.
import type { ConvolutionPass } from "../pass/pass.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { workgroupCorrelation } from "./correlation.ts";
import { workgroupFilterForward } from "./filter-forward.ts";
import { workgroupConvForward } from "./forward.ts";
import { workgroupBinaryInputGradient, workgroupConvInputGradient } from "./input-gradient.ts";
import { workgroupPlanesForward } from "./planes-forward.ts";
import { workgroupPopcountForward } from "./popcount.ts";
import type { WorkgroupPlan } from "./product.ts";
import { workgroupBinaryWeightGradient, workgroupConvWeightGradient } from "./weight-gradient.ts";

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
    case "planesConvForward":
      return workgroupPlanesForward(pass, tiling);
    case "xcorrForward":
    case "xcorrSearchGradient":
    case "xcorrExemplarGradient":
      return workgroupCorrelation(pass, tiling);
    default:
      return pass satisfies never;
  }
}
