// Full precision: real convolutions, no sign. What teachers are made of.

import { commonBlock, type Method } from "./method.ts";

export const fullPrecision: Method = {
  kind: "full-precision",
  binarizesInput: false,
  block: commonBlock,
  body: (graph, layer) => graph.add({ op: "conv", ...layer }),
};
