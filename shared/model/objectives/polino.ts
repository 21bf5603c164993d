// Quantised distillation (Polino et al., ICLR 2018): w·T²·KL(teacher ‖ student) at temperature T, and 1 − w of the
// task, with a frozen teacher.

import { z } from "zod";
import { temperature } from "./apprentice.ts";
import { defineObjective, TEACHER } from "./objective.ts";

export const polino = defineObjective({
  kind: "polino",
  schema: z.strictObject({
    kind: z.literal("polino"),
    weight: z.number().min(0).max(1).default(0.7).describe("of the teacher's part; the task has the rest"),
    temperature: temperature.default(2),
    reduce: z
      .enum(["batch", "element"])
      .default("batch")
      .describe("mean over samples as printed; `element`: over samples and classes, as the authors' code has it"),
  }),
  create: ({ weight, temperature: tau, reduce }) => ({
    task: 1 - weight,
    losses: [
      {
        kind: "divergence",
        weight,
        teacher: TEACHER,
        options: { temperature: tau, element: Number(reduce === "element") },
      },
    ],
    teacher: true,
  }),
});
