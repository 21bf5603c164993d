// What a worker does about its kernels, in numbers of convolution passes, as its session tells it.

import { z } from "zod";

const counting = z.number().int().min(0);

/** `refused`: pass, tiling and why it is left out here. */
export const tuningEventSchema = z.discriminatedUnion("stage", [
  /** Compares and measures tilings, as many passes as the time allows. */
  z.strictObject({ type: z.literal("tuning"), stage: z.literal("measuring"), passes: counting }),
  z.strictObject({
    type: z.literal("tuning"),
    stage: z.literal("measured"),
    passes: counting,
    left: counting,
    refused: z.array(z.string()),
  }),
  /** Compares what is in use with the naive kernels. */
  z.strictObject({ type: z.literal("tuning"), stage: z.literal("checking"), passes: counting }),
  z.strictObject({
    type: z.literal("tuning"),
    stage: z.literal("checked"),
    passes: counting,
    refused: z.array(z.string()),
  }),
  z.strictObject({ type: z.literal("tuning"), stage: z.literal("unkept"), message: z.string() }),
]);

export type TuningEvent = z.output<typeof tuningEventSchema>;
