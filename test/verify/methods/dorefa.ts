// DoReFa-Net's cases.

import { z } from "zod";
import { rounded, same } from "../tolerance.ts";
import { quantiseRuleOf } from "./activation.ts";
import type { CaseMethod } from "./case-method.ts";
import { codesOf } from "./codes.ts";
import { product } from "./product.ts";

const attributes = z.object({ bits: z.number(), maxGradient: z.boolean().default(true) });
/** Of activations that stay as they are. */
const FLOATS = 32;

export const dorefaCase: CaseMethod = {
  create: (weight, convolution) => {
    const { bits, maxGradient } = attributes.parse(weight);
    const rule = convolution && quantiseRuleOf(convolution.activation);
    const activationBits = rule?.kind === "bits" ? rule.bits : FLOATS;
    return product({ kind: "dorefa", weightBits: bits, activationBits, maxGradient });
  },
  outs: ({ test, layer }) => [
    same("codes", codesOf(layer, 1), test),
    ...(test.has("out.scale") ? [rounded("scale", layer.companions.c, test)] : []),
  ],
};
