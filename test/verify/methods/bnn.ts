// BNN's cases; with factors of the output, those of XNOR-Net++.

import { z } from "zod";
import type { CaseMethod } from "./case-method.ts";
import { product } from "./product.ts";

const attributes = z.object({ open: z.boolean().default(false) });

export const bnnCase: CaseMethod = {
  create: (weight, convolution) => {
    const { open } = attributes.parse(weight);
    const edge = convolution?.activation.kind === "open" ? "open" : "closed";
    if (open && convolution?.output === "gamma") return product({ kind: "xnorpp", edge });
    return product({ kind: "bnn", gradient: open ? "open" : "plain", edge });
  },
};
