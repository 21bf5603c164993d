// Guided training as printed by Zhuang et al. (CVPR 2018): λ/2n·‖φ_q − Q(φ_f)‖² of feature maps, each network its own
// side. Which maps, and how a sum over several is weighed, the paper leaves open: the compared maps, behind each layer
// of the method, and their mean, are our choice.

import { z } from "zod";
import { weight } from "./apprentice.ts";
import { guide } from "./guided.ts";
import { defineObjective, TEACHER, TWIN } from "./objective.ts";

/** Q has at most so many bits: f32 tells their levels apart. */
export const MOST_BITS = 16;

export const features = defineObjective({
  kind: "features",
  schema: z.strictObject({
    kind: z.literal("features"),
    guide,
    lambda: weight.default(1e-3).describe("of half the squared distance, which is summed over a map's elements"),
    bits: z
      .number()
      .int()
      .min(0)
      .max(MOST_BITS)
      .default(0)
      .describe("the other's maps are rounded to so many bits of [0, 1]; 0: they are taken as they are"),
    maps: z.enum(["all", "last"]).default("all").describe("the mean over all compared maps, or the last one alone"),
    task: weight.default(1).describe("of the task"),
    teacherTask: weight.default(1).describe("of the twin's own loss"),
  }),
  create: ({ guide: by, lambda, bits, maps, task, teacherTask }) => {
    const distance = { kind: "features", weight: lambda, options: { bits, last: Number(maps === "last") } };
    if (by === "teacher") return { task, losses: [{ ...distance, teacher: TEACHER }], teacher: true };
    const losses = [
      { ...distance, partner: TWIN },
      { kind: "teacher-task", weight: teacherTask, partner: TWIN },
    ];
    return { task, losses, teacher: false, partner: "twin" };
  },
});
