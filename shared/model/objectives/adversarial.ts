// RBCN's L_Adv (Liu et al., IJCAI 2019): discriminators tell the maps of the 1-bit network from those of a frozen
// teacher, and the network learns that they cannot. Its options are the configuration's field `adversarial`.

import { z } from "zod";
import { defineObjective, TEACHER } from "./objective.ts";

export const adversarial = defineObjective({
  kind: "adversarial",
  schema: z.strictObject({
    kind: z.literal("adversarial").describe("against discriminators of the maps, with the options of `adversarial`"),
  }),
  local: true,
  create: (_, { adversarial: { lambda, warmupEpochs } }) => ({
    task: 1,
    losses: [{ kind: "adversarial", weight: lambda, teacher: TEACHER, partner: "discriminators" }],
    teacher: true,
    partner: "discriminators",
    weights: (epoch) => ({ adversarial: epoch >= warmupEpochs ? lambda : 0 }),
  }),
});
