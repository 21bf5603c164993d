// Mutual learning with a network in full precision, as the journal version of Zhuang et al. has it: each learns the
// task and T²·KL to the other, which it takes as it is.

import { z } from "zod";
import { temperature, weight } from "./apprentice.ts";
import { defineObjective, TWIN } from "./objective.ts";

export const mutual = defineObjective({
  kind: "mutual",
  schema: z.strictObject({
    kind: z.literal("mutual"),
    temperature: temperature.default(1),
    studentTask: weight.default(1).describe("of the task"),
    studentSoft: weight.default(1).describe("of T²·KL to the twin"),
    teacherTask: weight.default(1).describe("of the twin's own loss"),
    teacherSoft: weight.default(1).describe("of the twin's T²·KL to the network"),
  }),
  create: ({ temperature: tau, studentTask, studentSoft, teacherTask, teacherSoft }) => {
    const options = { temperature: tau };
    const losses = [
      { kind: "divergence", weight: studentSoft, partner: TWIN, options },
      { kind: "teacher-divergence", weight: teacherSoft, partner: TWIN, options },
      { kind: "teacher-task", weight: teacherTask, partner: TWIN },
    ];
    return { task: studentTask, losses, teacher: false, partner: "twin" };
  },
});
