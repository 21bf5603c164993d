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
  type Method,
  type WeightRule,
} from "./method.ts";
import { problemsAfter, stagesAfter, trainingProgram } from "./programs.ts";
import { filterScale } from "./shared-scale.ts";

const schema = z.strictObject({
  kind: z.literal("bireal"),
  gradient: z
    .enum(["magnitude", "pytorch", "caffe"])
    .default("magnitude")
    .describe("of W: alpha G where |W| <= 1, as the paper's magnitude-aware gradient; the codes' G where |W| <= 1; G"),
  clamp: z.boolean().default(true).describe("W stays within 1 after each update: outside the gradient is 0 (ours)"),
  weights: z
    .enum(["sign", "clip"])
    .default("sign")
    .describe("of the layers; clip: real ones, and inputs clipped to 1, as of the network that the paper begins with"),
  pretrain: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("share of the epochs that train with weights clip before, as the paper has it; 0 begins afresh (ours)"),
  blockOrder: blockOrderOption,
});
type Options = z.output<typeof schema>;

const signs = derivedScale("out", "bireal");

/** conv(clip(x, −1, 1), W): the same network before its signs, whose weights it can begin with. */
const clipped: Method["body"] = (graph, layer) =>
  graph.add({ op: "conv", ...layer, input: graph.activation("hardtanh", `${layer.name}.clip`, layer.input) });

const clipStage = {
  name: "clip",
  title: "network of clipped inputs",
  doing: "training the network of clipped inputs",
  network: { options: { weights: "clip" }, title: "network of clipped inputs" },
} as const;

/** `magnitude`: αG·1[|W|≤1]. `pytorch`: G·1[|W|≤1]. `caffe`: G. */
function gradientsOf(layer: LatentLayer, gradient: Float64Array, rule: Options["gradient"]): LatentGradients {
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

function ruleOf({ gradient: kind, clamp: clamps }: Options): WeightRule {
  return {
    companion: (_, layer) => filterScale(layer),
    gradients: (layer, gradient) => gradientsOf(layer, gradient, kind),
    settle: ({ weight }) => {
      if (clamps) clamp(weight, 1);
    },
  };
}

export const biRealMethod = defineMethod({
  kind: "bireal",
  schema,
  word: ({ weights }) => (weights === "clip" ? "full-precision" : "1-bit"),
  check: ({ pretrain }, { epochs }) => problemsAfter("bireal", epochs, pretrain),
  phases: ({ pretrain }, run) => trainingProgram(run, { stages: stagesAfter(run, pretrain, clipStage) }),
  create: (options) => ({
    binarizesInput: true,
    block: options.blockOrder === "paper" ? { norm: "after", activation: "identity" } : commonBlock,
    body: options.weights === "clip" ? clipped : signs,
    ...(options.weights === "clip" ? {} : { rule: ruleOf(options) }),
  }),
});
