// XNOR-Net (Rastegari et al., ECCV 2016): conv(sign x, α sign W) with α the mean of |W| of each filter, which follows
// from W. What the printed equation, the authors' code and the derivative say of ∂L/∂W differs; README.md here has the
// three beside each other.

import { z } from "zod";
import { BitswarmError } from "../../base/errors.ts";
import {
  blockOrderOption,
  clamp,
  commonBlock,
  companionOf,
  defineMethod,
  derivedScale,
  edgeOption,
  edgeSurrogate,
  type LatentGradients,
  type LatentLayer,
  type Method,
} from "./method.ts";
import { plainProgram } from "./programs.ts";
import { filterScale } from "./shared-scale.ts";

const schema = z.strictObject({
  kind: z.literal("xnor"),
  gradient: z
    .enum(["analytic", "code", "printed"])
    .default("analytic")
    .describe("of W: the derivative, with alpha's; what the authors' code does; the paper's equation as printed"),
  factor: z
    .boolean()
    .default(false)
    .describe("with `analytic`: times (1 - 1/in) n, as a port has it, n being the weights of a filter"),
  centre: z
    .boolean()
    .default(true)
    .describe("after each update W becomes W - mean over input channels, within 1, as in the authors' code"),
  edge: edgeOption,
  inputScale: z
    .boolean()
    .default(false)
    .describe("times K, the mean of |x| under each window, as in the paper; its authors' code has none"),
  blockOrder: blockOrderOption,
});

/** conv(sign x, α sign W), and with `inputScale` times K. */
function bodyOf({ edge, inputScale }: Pick<z.output<typeof schema>, "edge" | "inputScale">): Method["body"] {
  const signs = derivedScale("out", edgeSurrogate(edge));
  if (!inputScale) return signs;
  return (graph, layer) => {
    if ((layer.groups ?? 1) > 1) {
      throw new BitswarmError(
        "GRAPH_INVALID",
        `${layer.name}: method.inputScale has one K a position, and ${layer.groups} groups want as many; leave inputScale out`,
      );
    }
    const { input: other, kernel, stride, padding } = layer;
    return graph.add({ op: "inputscale", input: signs(graph, layer), other, kernel, stride, padding });
  };
}

/**
 * With n weights a filter and S = Σ G sign W over the filter. `analytic`: αG·1[|W|<1] + S sign W / n. `code`:
 * G(1/n + α·1[|W|<1])(1 − 1/in) n. `printed`: G(1/n + α·1[|W|≤1]).
 */
function gradientsOf(
  layer: LatentLayer,
  gradient: Float64Array,
  options: Pick<z.output<typeof schema>, "gradient" | "factor">,
): LatentGradients {
  const { shape, weight } = layer;
  const alpha = companionOf(layer, "c");
  const [out, kh, kw, input] = shape;
  const n = kh * kw * input;
  const larger = (1 - 1 / input) * n;
  const dWeight = new Float64Array(weight.length);
  for (let o = 0; o < out; o++) {
    const [from, to] = [o * n, (o + 1) * n];
    let signed = 0;
    for (let i = from; i < to; i++) signed += weight[i] < 0 ? -gradient[i] : gradient[i];
    for (let i = from; i < to; i++) {
      const w = weight[i];
      const inside = Math.abs(w) < 1 ? alpha[o] : 0;
      switch (options.gradient) {
        case "analytic": {
          const whole = gradient[i] * inside + (w < 0 ? -signed : signed) / n;
          dWeight[i] = options.factor ? whole * larger : whole;
          break;
        }
        case "code":
          dWeight[i] = gradient[i] * (1 / n + inside) * larger;
          break;
        case "printed":
          dWeight[i] = gradient[i] * (1 / n + (Math.abs(w) <= 1 ? alpha[o] : 0));
          break;
        default:
          options.gradient satisfies never;
      }
    }
  }
  return { weight: dWeight, learned: {}, losses: {} };
}

/** W ← W − mean over input channels, in place. */
function centre({ shape, weight }: LatentLayer): void {
  const input = shape[3];
  for (let from = 0; from < weight.length; from += input) {
    let sum = 0;
    for (let i = from; i < from + input; i++) sum += weight[i];
    for (let i = from; i < from + input; i++) weight[i] -= sum / input;
  }
}

export const xnorMethod = defineMethod({
  kind: "xnor",
  schema,
  phases: (_, run) => plainProgram(run),
  create: (options) => ({
    binarizesInput: true,
    block: options.blockOrder === "paper" ? { norm: "before", activation: "identity" } : commonBlock,
    body: bodyOf(options),
    rule: {
      companion: (_, layer) => filterScale(layer),
      gradients: (layer, gradient) => gradientsOf(layer, gradient, options),
      settle: (layer) => {
        if (!options.centre) return;
        centre(layer);
        clamp(layer.weight, 1);
      },
    },
  }),
});
