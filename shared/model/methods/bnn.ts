// BNN (Hubara et al., NIPS 2016): conv(sign x, sign W), no scale; the gradient passes straight through both signs, and
// W is clipped to ±1.

import { z } from "zod";
import {
  blockOrderOption,
  clamp,
  commonBlock,
  defineMethod,
  derivedScale,
  edgeOption,
  edgeSurrogate,
  type LatentGradients,
  type LatentLayer,
} from "./method.ts";
import { plainProgram } from "./programs.ts";

const schema = z.strictObject({
  kind: z.literal("bnn"),
  gradient: z
    .enum(["plain", "open"])
    .default("plain")
    .describe("of W: that of sign W as it is, or 0 where |W| is 1, as of a clipped weight"),
  edge: edgeOption,
  blockOrder: blockOrderOption,
});

/** ∂W = G, or G on |W| < 1. */
function gradientsOf(
  { weight }: LatentLayer,
  gradient: Float64Array,
  { gradient: rule }: Pick<z.output<typeof schema>, "gradient">,
): LatentGradients {
  const dWeight = rule === "plain" ? gradient.slice() : gradient.map((g, i) => (Math.abs(weight[i]) < 1 ? g : 0));
  return { weight: dWeight, learned: {}, losses: {} };
}

export const bnnMethod = defineMethod({
  kind: "bnn",
  schema,
  phases: (_, run) => plainProgram(run),
  create: (options) => ({
    binarizesInput: true,
    block: options.blockOrder === "paper" ? { norm: "after", activation: "hardtanh" } : commonBlock,
    body: derivedScale("layer", edgeSurrogate(options.edge)),
    rule: {
      // The kernels always scale: by 1.
      companion: () => Float32Array.of(1),
      gradients: (layer, gradient) => gradientsOf(layer, gradient, options),
      settle: ({ weight }) => clamp(weight, 1),
    },
  }),
});
