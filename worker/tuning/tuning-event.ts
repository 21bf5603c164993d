// What a worker does about its kernels, in numbers of convolution passes, as its session tells it.

import * as z from "zod/mini";

const counting = z.int().check(z.gte(0));

/** `refused`: pass, tiling and why it is left out here. */
export const tuningEventSchema = z.discriminatedUnion("stage", [
  /** Compares and measures tilings, as many as the time allows; `done` passes are behind it. */
  z.strictObject({ type: z.literal("tuning"), stage: z.literal("measuring"), done: counting, passes: counting }),
  z.strictObject({
    type: z.literal("tuning"),
    stage: z.literal("measured"),
    passes: counting,
    left: counting,
    refused: z.array(z.string()),
  }),
  /** Compiles the shaders of a phase; `done` of them are. */
  z.strictObject({ type: z.literal("tuning"), stage: z.literal("compiling"), done: counting, total: counting }),
  /** Computes, and compiles faster kernels of convolution passes beside it; `done` of them are in use. */
  z.strictObject({ type: z.literal("tuning"), stage: z.literal("improving"), done: counting, total: counting }),
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
