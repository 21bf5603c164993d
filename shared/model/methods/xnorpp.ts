// XNOR-Net++ (Bulat & Tzimiropoulos, BMVC 2019): signs of both, and in place of XNOR-Net's scales that follow from W
// and x, one Γ on the output that is trained: an outer product of factors of channels, rows and columns.

import { z } from "zod";
import type { GammaAxis } from "../graph.ts";
import { blockOrderOption, commonBlock, defineMethod, derivedScale, type Method, type WeightRule } from "./method.ts";
import { MOST_SHARE, problemsAfter, stagesAfter, trainingProgram } from "./programs.ts";
import { besideName, quantisedBody } from "./quantised-body.ts";
import { xnorMethod } from "./xnor.ts";

const schema = z.strictObject({
  kind: z.literal("xnorpp"),
  axes: z
    .enum(["out", "out-h-w"])
    .default("out-h-w")
    .describe("factors of the output: of its channels; of channels, rows and columns, the paper's best"),
  keepAlpha: z
    .boolean()
    .default(false)
    .describe("W is XNOR-Net's alpha sign W, as in the code's recipe; the paper's is sign W"),
  centre: z
    .boolean()
    .default(false)
    .describe("after each update W becomes W - mean over input channels, within 1, as in the code's recipe"),
  edge: z
    .enum(["closed", "open"])
    .default("closed")
    .describe("the slope of the sign of activations is 1 where |x| <= 1, as in other methods, or as in the code < 1"),
  weights: z.enum(["sign", "real"]).default("sign").describe("of the layers; real, as in the authors' first stage"),
  pretrain: z
    .number()
    .min(0)
    .max(MOST_SHARE)
    .default(0.5)
    .describe("of the run's epochs, with real weights and signs of activations, as in the authors' first stage (ours)"),
  blockOrder: blockOrderOption,
});
type Options = z.output<typeof schema>;

const axesOf: Readonly<Record<Options["axes"], readonly GammaAxis[]>> = { out: ["c"], "out-h-w": ["c", "h", "w"] };

function bodyOf({ axes, keepAlpha, edge, weights }: Options): Method["body"] {
  const surrogate = edge === "open" ? "open" : "ste";
  const body =
    weights === "real"
      ? quantisedBody({ form: { kind: "float" }, activations: { kind: "sign", surrogate } })
      : derivedScale(keepAlpha ? "out" : "layer", surrogate);
  return (graph, layer) =>
    graph.add({ op: "gamma", ...besideName(layer, "gamma"), axes: axesOf[axes], input: body(graph, layer) });
}

/** ∂W = G·1[|W| < 1], or, where α stays, XNOR-Net's derivative. */
function ruleOf({ keepAlpha, centre }: Options): WeightRule {
  const xnor = xnorMethod.create({ kind: "xnor", gradient: "analytic", centre }).rule;
  if (!xnor) throw new RangeError("xnor has no rule");
  if (keepAlpha) return xnor;
  return {
    ...xnor,
    companion: () => Float32Array.of(1),
    gradients: ({ weight }, gradient) => ({
      weight: gradient.map((g, i) => (Math.abs(weight[i]) < 1 ? g : 0)),
      learned: {},
      losses: {},
    }),
  };
}

/** Of the epochs, with real weights before the signs. */
function realShare({ pretrain, weights }: Options): number {
  return weights === "real" ? 0 : pretrain;
}

export const xnorppMethod = defineMethod({
  kind: "xnorpp",
  schema,
  check: (options, { epochs }) => problemsAfter("xnorpp", epochs, realShare(options)),
  phases: (options, run) => {
    return trainingProgram(run, {
      stages: stagesAfter(run, realShare(options), {
        name: "real",
        title: "real weights, signs of activations",
        doing: "training real weights under signs of activations",
        network: { title: "network of real weights", options: { weights: "real" } },
      }),
    });
  },
  create: (options) => ({
    binarizesInput: true,
    block: options.blockOrder === "paper" ? { norm: "before", activation: "identity" } : commonBlock,
    body: bodyOf(options),
    ...(options.weights === "real" ? {} : { rule: ruleOf(options) }),
  }),
});
