// Guided training as the released code of Zhuang et al. (CVPR 2018) has it: logits of the network and of one in full
// precision that is trained beside it, β·CE + γ·MSE for the one and α·CE + γ·MSE for the other. What the paper prints
// compares feature maps: features.ts.

import { z } from "zod";
import { weight } from "./apprentice.ts";
import { defineObjective, TEACHER, TWIN } from "./objective.ts";

/** Whom a network is guided by: an option of guided training. */
export const guide = z
  .enum(["twin", "teacher"])
  .default("twin")
  .describe("a network in full precision trained beside it, as the authors have it; or the frozen teacher");

export const guided = defineObjective({
  kind: "guided",
  schema: z.strictObject({
    kind: z.literal("guided"),
    guide,
    alpha: weight.default(1).describe("of the twin's own loss"),
    beta: weight.default(0.3).describe("of the task"),
    gamma: weight.default(0.1).describe("of the mean squared error of logits, for each its own side"),
  }),
  create: ({ guide: by, alpha, beta, gamma }) => {
    const logits = { kind: "logits", weight: gamma };
    if (by === "teacher") return { task: beta, losses: [{ ...logits, teacher: TEACHER }], teacher: true };
    const losses = [
      { ...logits, partner: TWIN },
      { kind: "teacher-task", weight: alpha, partner: TWIN },
    ];
    return { task: beta, losses, teacher: false, partner: "twin" };
  },
});
