// TTQ, trained ternary quantization (Zhu, Han, Mao & Dally, ICLR 2017): weights of +W_p, 0 and −W_n, two values a layer
// that are trained.

import { z } from "zod";
import type { QuantiseRule, WeightForm } from "../graph.ts";
import { MOST_BITS } from "./bit-counts.ts";
import {
  type BlockOrder,
  blockOrderOption,
  commonBlock,
  companionOf,
  defineMethod,
  type LatentGradients,
  type LatentLayer,
  type Method,
} from "./method.ts";
import { plainProgram } from "./programs.ts";
import { planesCompanion, quantisedBody, scaleCompanion } from "./quantised-body.ts";

const schema = z.strictObject({
  kind: z.literal("ttq"),
  threshold: z.number().min(0).lt(1).default(0.05).describe("of the layer's greatest |W|; weights up to it are 0"),
  activations: z
    .union([z.enum(["float", "sign"]), z.int().min(1).max(MOST_BITS)], {
      error: `must be "float", "sign" or a number of bits, 1 to ${MOST_BITS}`,
    })
    .default("float")
    .describe(`of a layer's input: as it is, its sign, or a number, 1 to ${MOST_BITS}: so many bits in [0, 1]`),
  negativeGradient: z
    .enum(["derivative", "printed"])
    .default("derivative")
    .describe("of W_n: minus the sum over its weights, as in the authors' code, too; as printed, plus"),
  blockOrder: blockOrderOption,
});
type Options = z.output<typeof schema>;

const form: WeightForm = { kind: "ternary" };

/** Greatest |W| that is a weight of 0: Δ = threshold · max|W|. */
function deltaOf(weight: Float32Array, threshold: number): number {
  let greatest = 0;
  for (const w of weight) greatest = Math.max(greatest, Math.abs(w));
  return threshold * greatest;
}

/** 1 where W > Δ, −1 where W < −Δ, 0 between. */
export function ternaryCodes(weight: Float32Array, threshold: number): Int8Array {
  const delta = deltaOf(weight, threshold);
  return Int8Array.from(weight, (w) => (w > delta ? 1 : w < -delta ? -1 : 0));
}

/** Signs, then the mask, in which −1 is a weight of 0. */
function planesOf(codes: Int8Array): Float32Array {
  const planes = new Float32Array(2 * codes.length);
  codes.forEach((code, i) => {
    planes[i] = code < 0 ? -1 : 1;
    planes[codes.length + i] = code === 0 ? -1 : 1;
  });
  return planes;
}

/** ∂W = G × (W_p | 1 | W_n) by region; ∂W_p = Σ₊ G, ∂W_n = −Σ₋ G. */
function gradientsOf(
  layer: LatentLayer,
  gradient: Float64Array,
  { threshold, negativeGradient }: Pick<Options, "threshold" | "negativeGradient">,
): LatentGradients {
  const [positive, negative] = companionOf(layer, "c");
  const codes = ternaryCodes(layer.weight, threshold);
  let [above, below] = [0, 0];
  const weight = gradient.map((g, i) => {
    if (codes[i] === 0) return g;
    if (codes[i] > 0) {
      above += g;
      return g * positive;
    }
    below += g;
    return g * negative;
  });
  const c = Float64Array.of(above, negativeGradient === "derivative" ? -below : below);
  return { weight, learned: { c }, losses: {} };
}

function quantiseRule(activations: Options["activations"]): QuantiseRule | undefined {
  if (activations === "float") return undefined;
  return activations === "sign" ? { kind: "sign", surrogate: "ste" } : { kind: "bits", bits: activations };
}

/** In the authors' order, norm → ReLU → convolution, the activation is in the body. */
function bodyOf({ activations, blockOrder }: Options): Method["body"] {
  const body = quantisedBody({
    form,
    activations: quantiseRule(activations),
    companions: (layer) => [planesCompanion(form, layer), scaleCompanion(form, layer, "learned")],
  });
  if (blockOrder === "common" || activations !== "float") return body;
  return (graph, layer) =>
    body(graph, { ...layer, input: graph.activation("relu", `${layer.name}.relu`, layer.input) });
}

const paperBlock: BlockOrder = { norm: "before", activation: "identity" };

export const ttqMethod = defineMethod({
  kind: "ttq",
  schema,
  word: "ternary",
  phases: (_, run) => plainProgram(run),
  create: (options) => ({
    binarizesInput: options.activations !== "float",
    block: options.blockOrder === "paper" ? paperBlock : commonBlock,
    body: bodyOf(options),
    rule: {
      companion: (name, { weight }) =>
        name === "planes" ? planesOf(ternaryCodes(weight, options.threshold)) : Float32Array.of(1, 1),
      gradients: (layer, gradient) => gradientsOf(layer, gradient, options),
    },
  }),
});
