// Bi-Real net (Liu et al., ECCV 2018): α sign W as XNOR-Net has it, but α held constant in the gradient, and for signs
// of activations a surrogate of second order.

import { z } from "zod";
import {
  blockOrderOption,
  clamp,
  commonBlock,
  companionOf,
  defineMethod,
  derivedScale,
  type LatentGradients,
  type LatentLayer,
} from "./method.ts";
import { plainProgram } from "./programs.ts";
import { filterScale } from "./shared-scale.ts";

const schema = z.strictObject({
  kind: z.literal("bireal"),
  gradient: z
    .enum(["magnitude", "pytorch", "caffe"])
    .default("magnitude")
    .describe("of W: alpha G where |W| <= 1, as the paper's magnitude-aware gradient; the codes' G where |W| <= 1; G"),
  clamp: z.boolean().default(true).describe("W stays within 1 after each update: outside the gradient is 0 (ours)"),
  blockOrder: blockOrderOption,
});

/** `magnitude`: αG·1[|W|≤1]. `pytorch`: G·1[|W|≤1]. `caffe`: G. */
function gradientsOf(
  layer: LatentLayer,
  gradient: Float64Array,
  rule: z.output<typeof schema>["gradient"],
): LatentGradients {
  const { shape, weight } = layer;
  const alpha = companionOf(layer, "c");
  const n = shape[1] * shape[2] * shape[3];
  const dWeight = gradient.map((g, i) => {
    switch (rule) {
      case "magnitude":
        return Math.abs(weight[i]) <= 1 ? alpha[Math.floor(i / n)] * g : 0;
      case "pytorch":
        return Math.abs(weight[i]) <= 1 ? g : 0;
      case "caffe":
        return g;
      default:
        return rule satisfies never;
    }
  });
  return { weight: dWeight, learned: {}, losses: {} };
}

export const biRealMethod = defineMethod({
  kind: "bireal",
  schema,
  phases: (_, run) => plainProgram(run),
  create: (options) => ({
    binarizesInput: true,
    block: options.blockOrder === "paper" ? { norm: "after", activation: "identity" } : commonBlock,
    body: derivedScale("out", "bireal"),
    rule: {
      companion: (_, layer) => filterScale(layer),
      gradients: (layer, gradient) => gradientsOf(layer, gradient, options.gradient),
      settle: ({ weight }) => {
        if (options.clamp) clamp(weight, 1);
      },
    },
  }),
});
