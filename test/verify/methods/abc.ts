// ABC-Net's cases: bases of weights.

import { z } from "zod";
import { rounded, same } from "../tolerance.ts";
import { quantiseRuleOf } from "./activation.ts";
import type { CaseMethod } from "./case-method.ts";
import { planesInOrder } from "./codes.ts";
import { product } from "./product.ts";

const attributes = z.object({ bases: z.number(), scale: z.enum(["layer", "out"]) });

export const abcCase: CaseMethod = {
  create: (weight, convolution) => {
    const { bases, scale } = attributes.parse(weight);
    const rule = convolution && quantiseRuleOf(convolution.activation);
    const activationBases = rule?.kind === "bases" ? rule.bases : 1;
    return product({ kind: "abc", weightBases: bases, activationBases, scale });
  },
  outs: ({ test, layer }) => [same("planes", planesInOrder(layer), test), rounded("alpha", layer.companions.c, test)],
};
