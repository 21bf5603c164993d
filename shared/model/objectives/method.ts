// What the method itself says: RBCN's `ablation`, and the task alone of those that say nothing. A program puts it in
// the place of this entry, which is no objective of its own.

import { z } from "zod";
import { defineObjective, taskAlone } from "./objective.ts";

export const methodObjective = defineObjective({
  kind: "method",
  schema: z.strictObject({ kind: z.literal("method").describe("what the method says") }),
  local: true,
  create: () => taskAlone,
});
