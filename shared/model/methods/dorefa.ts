// DoReFa-Net (Zhou et al. 2016): weights of q bits, activations of k bits in [0, 1], and gradients of activations in g
// bits where that is asked for.

import { z } from "zod";
import type { QuantiseRule, WeightForm } from "../graph.ts";
import { bitsOrFloat, FLOAT_BITS } from "./bit-counts.ts";
import { dorefaGradient, dorefaPlanes, dorefaScale } from "./dorefa-weights.ts";
import {
  type BlockOrder,
  blockOrderOption,
  commonBlock,
  defineMethod,
  type Method,
  type WeightRule,
} from "./method.ts";
import { plainProgram } from "./programs.ts";
import { quantisedBody } from "./quantised-body.ts";

/** What DoReFa-Net and Zhuang et al. quantise with. */
export interface DorefaOptions {
  readonly weightBits: number;
  readonly activationBits: number;
  readonly gradientBits: number;
  readonly maxGradient: boolean;
  readonly blockOrder: "common" | "paper";
}

/** Options that say what a layer is quantised to. */
export const dorefaShape = {
  weightBits: bitsOrFloat.default(1).describe("of W; 32: as it is"),
  activationBits: bitsOrFloat.default(2).describe("of a layer's input, in [0, 1]; 32: as it is"),
  gradientBits: bitsOrFloat
    .default(FLOAT_BITS)
    .describe("of the gradient of a layer's output; 32: as it is (ours; the authors' AlexNet has 6)"),
  maxGradient: z
    .boolean()
    .default(true)
    .describe("with more than one bit W's gradient goes through max|tanh W| too, as in the authors' code"),
  blockOrder: blockOrderOption,
};

const schema = z.strictObject({ kind: z.literal("dorefa"), ...dorefaShape });

function formOf(bits: number): WeightForm {
  return bits === FLOAT_BITS ? { kind: "float" } : { kind: "linear", planes: bits, scale: "layer" };
}

function bodyOf({ weightBits, activationBits, gradientBits }: DorefaOptions): Method["body"] {
  const activations: QuantiseRule | undefined =
    activationBits === FLOAT_BITS ? undefined : { kind: "bits", bits: activationBits };
  const body = quantisedBody({ form: formOf(weightBits), activations });
  return (graph, layer) => {
    const output = body(graph, layer);
    return gradientBits === FLOAT_BITS ? output : graph.add({ op: "gradientbits", bits: gradientBits, input: output });
  };
}

function ruleOf({ weightBits, maxGradient }: DorefaOptions): WeightRule {
  return {
    companion: (name, { weight }) =>
      name === "planes" ? dorefaPlanes(weight, weightBits) : dorefaScale(weight, weightBits),
    gradients: ({ weight }, gradient) => ({
      weight: dorefaGradient(weight, gradient, weightBits, maxGradient),
      learned: {},
      losses: {},
    }),
  };
}

/** BN → clip and quantise → convolution in the authors' order; floats pass a ReLU there. */
function blockOf({ blockOrder, activationBits }: DorefaOptions): BlockOrder {
  if (blockOrder === "common") return commonBlock;
  return { norm: "before", activation: activationBits === FLOAT_BITS ? "relu" : "identity" };
}

/** What people call a network of it. */
export function dorefaWord({
  weightBits,
  activationBits,
}: Pick<DorefaOptions, "weightBits" | "activationBits">): string {
  const bits = weightBits === FLOAT_BITS ? activationBits : weightBits;
  return bits === FLOAT_BITS ? "full-precision" : `${bits}-bit`;
}

/** A method that quantises as DoReFa-Net does. */
export function dorefa(options: DorefaOptions): Omit<Method, "kind"> {
  return {
    binarizesInput: options.activationBits !== FLOAT_BITS,
    block: blockOf(options),
    body: bodyOf(options),
    ...(options.weightBits === FLOAT_BITS ? {} : { rule: ruleOf(options) }),
  };
}

export const dorefaMethod = defineMethod({
  kind: "dorefa",
  schema,
  word: dorefaWord,
  phases: (_, run) => plainProgram(run),
  create: dorefa,
});
