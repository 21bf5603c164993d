// LAB (Hou, Yao & Kwok, ICLR 2017): one scale a layer, weighted by the curvature that Adam measures, and signs of W.
// With signs of activations, too, it is the paper's LAB2.

import { z } from "zod";
import {
  type BlockOrder,
  blockOrderOption,
  clamp,
  commonBlock,
  defineMethod,
  derivedScale,
  type LatentLayer,
  type Method,
} from "./method.ts";
import { plainProgram } from "./programs.ts";
import { quantisedBody } from "./quantised-body.ts";

const schema = z.strictObject({
  kind: z.literal("lab"),
  activations: z
    .enum(["float", "sign"])
    .default("float")
    .describe("of a layer's input: as it is, which is LAB; its sign, which is LAB2"),
  blockOrder: blockOrderOption,
});
type Options = z.output<typeof schema>;

/** Added to √v, so that weights which were never moved count alike. */
const LEAST_CURVATURE = 1e-8;

/**
 * α = ‖d ⊙ W‖₁ / ‖d‖₁ of the layer, d = √v + 1e-8 with v Adam's second moment of W, whose correction for bias would
 * cancel. Before Adam's first step v is 0, and α the mean of |W|.
 */
export function curvatureScale({ weight, secondMoment }: Pick<LatentLayer, "weight" | "secondMoment">): number {
  let [weighted, all] = [0, 0];
  for (let i = 0; i < weight.length; i++) {
    const d = (secondMoment === undefined ? 0 : Math.sqrt(secondMoment[i])) + LEAST_CURVATURE;
    weighted += d * Math.abs(weight[i]);
    all += d;
  }
  return weighted / all;
}

function bodyOf({ activations }: Options): Method["body"] {
  if (activations === "sign") return derivedScale("layer", "ste");
  return quantisedBody({ form: { kind: "linear", planes: 1, scale: "layer" } });
}

/** The authors' order: convolution → pool → norm → ReLU, or the sign that stands in the layer itself. */
function blockOf({ activations, blockOrder }: Options): BlockOrder {
  if (blockOrder === "common") return commonBlock;
  return { norm: "after", activation: activations === "float" ? "relu" : "identity" };
}

export const labMethod = defineMethod({
  kind: "lab",
  schema,
  check: (_, { optimizer }) =>
    optimizer.latent.kind === "adam"
      ? []
      : [
          `optimizer.latent.kind: the method lab takes its scales from Adam's second moment of W; got ${optimizer.latent.kind} (set optimizer.latent.kind=adam)`,
        ],
  phases: (_, run) => plainProgram(run),
  create: (options) => ({
    binarizesInput: options.activations === "sign",
    block: blockOf(options),
    body: bodyOf(options),
    rule: {
      companion: (name, layer) =>
        name === "planes" ? layer.weight.map((w) => (w < 0 ? -1 : 1)) : Float32Array.of(curvatureScale(layer)),
      // The proximal step is Adam's, taken with the gradient of W̃, and the clip after it.
      gradients: (_, gradient) => ({ weight: gradient.slice(), learned: {}, losses: {} }),
      settle: ({ weight }) => clamp(weight, 1),
    },
  }),
});
