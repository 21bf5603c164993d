// LAB's cases, and LAB2's.

import { rounded } from "../tolerance.ts";
import { quantiseRuleOf } from "./activation.ts";
import type { CaseMethod } from "./case-method.ts";
import { product } from "./product.ts";

export const labCase: CaseMethod = {
  create: (_, convolution) => {
    const rule = convolution && quantiseRuleOf(convolution.activation);
    return product({ kind: "lab", activations: rule?.kind === "sign" ? "sign" : "float" });
  },
  outs: ({ test, layer }) => [rounded("alpha", layer.companions.c, test)],
};
