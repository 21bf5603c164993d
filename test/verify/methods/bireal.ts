// Bi-Real net's cases.

import { z } from "zod";
import { rounded } from "../tolerance.ts";
import type { CaseMethod } from "./case-method.ts";
import { product } from "./product.ts";

const attributes = z.object({ gradient: z.enum(["magnitude", "code"]) });

export const biRealCase: CaseMethod = {
  create: (weight) => {
    const { gradient } = attributes.parse(weight);
    // The cases' W stays as it is.
    return product({ kind: "bireal", gradient: gradient === "code" ? "pytorch" : "magnitude", clamp: false });
  },
  outs: ({ test, layer }) => [rounded("alpha", layer.companions.c, test)],
};
