// The task alone, and what a method adds of its own (RBCN's L_Kernel).

import { z } from "zod";
import { defineObjective, taskAlone } from "./objective.ts";

export const noObjective = defineObjective({
  kind: "none",
  schema: z.strictObject({ kind: z.literal("none").describe("the task alone") }),
  local: true,
  create: () => taskAlone,
});
