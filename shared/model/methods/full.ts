// Full precision: real convolutions, no sign. What teachers are made of, and, as a method of its own, the row that
// others are compared with; its export can be another run's teacher.file.

import { z } from "zod";
import { commonBlock, defineMethod, type Method } from "./method.ts";
import { plainProgram } from "./programs.ts";

const body: Omit<Method, "kind"> = {
  binarizesInput: false,
  block: commonBlock,
  body: (graph, layer) => graph.add({ op: "conv", ...layer }),
};

export const fullMethod = defineMethod({
  kind: "full",
  schema: z.strictObject({ kind: z.literal("full") }),
  word: "full-precision",
  phases: (_, run) => plainProgram(run),
  create: () => body,
});

/** Of a network whose plan says so, whatever the run's method is. */
export const fullPrecision: Method = { kind: "full", ...body };
