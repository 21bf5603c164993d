// XNOR-Net's cases.

import { z } from "zod";
import { rounded } from "../tolerance.ts";
import type { CaseMethod } from "./case-method.ts";
import { product } from "./product.ts";

const attributes = z.object({
  gradient: z.enum(["analytic", "authors", "paper"]),
  factor: z.boolean().default(false),
  centre: z.boolean().default(false),
});
const gradients = { analytic: "analytic", authors: "code", paper: "printed" };

export const xnorCase: CaseMethod = {
  create: (weight, convolution) => {
    const { gradient, factor, centre } = attributes.parse(weight);
    return product({
      kind: "xnor",
      gradient: gradients[gradient],
      factor,
      centre,
      edge: convolution?.activation.kind === "closed" ? "closed" : "open",
      inputScale: convolution?.output === "box",
    });
  },
  prepare: (rule, layer, weight) => {
    if (attributes.parse(weight).centre) rule.settle?.(layer, layer.weight);
  },
  outs: ({ test, layer }) => [
    ...(test.has("out.latent") ? [rounded("latent", layer.weight, test)] : []),
    rounded("alpha", layer.companions.c, test),
  ],
};
