// Apprentice (Mishra and Marr, ICLR 2018): L = α H(y, p_T) + β H(y, p_A) + γ H(softmax(z_T/τ), softmax(z_A/τ)). Variant
// A trains the teacher beside the apprentice from scratch, B learns from a trained and frozen one, C is B with the
// teacher's parameters as the apprentice's first ones.

import { z } from "zod";
import { defineObjective, TEACHER, TWIN } from "./objective.ts";

/** Far beyond any weight that leaves a loss finite. */
export const MOST_WEIGHT = 1e6;
export const MOST_TEMPERATURE = 1e3;

export const weight = z.number().min(0).max(MOST_WEIGHT);
export const temperature = z.number().positive().max(MOST_TEMPERATURE);

export const apprentice = defineObjective({
  kind: "apprentice",
  schema: z.strictObject({
    kind: z.literal("apprentice"),
    variant: z
      .enum(["A", "B", "C"])
      .default("B")
      .describe("A: with a teacher trained beside it; B: with a frozen teacher; C: as B, from the teacher's weights"),
    alpha: weight.default(1).describe("of the teacher's own loss, in variant A"),
    beta: weight.default(0.5).describe("of the task"),
    gamma: weight.default(0.5).describe("of the cross-entropy with the teacher's distribution"),
    temperature: temperature.default(1).describe("both networks' logits are divided by it in that term"),
    targetGradient: z
      .boolean()
      .default(false)
      .describe("in variant A the teacher learns from that term, too; else it is held constant"),
  }),
  create: ({ variant, alpha, beta, gamma, temperature: tau, targetGradient }) => {
    const soft = { kind: "soft", weight: gamma, options: { temperature: tau, targetGradient: Number(targetGradient) } };
    if (variant === "A") {
      const losses = [
        { ...soft, partner: TWIN },
        { kind: "teacher-task", weight: alpha, partner: TWIN },
      ];
      return { task: beta, losses, teacher: false, partner: "twin" };
    }
    return {
      task: beta,
      losses: [{ ...soft, options: { temperature: tau }, teacher: TEACHER }],
      teacher: true,
      startsFromTeacher: variant === "C",
    };
  },
});
