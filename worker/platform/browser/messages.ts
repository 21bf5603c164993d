// What passes between the page and its Web Worker. Both ends check what they get: a stale script may sit at the other
// end after an update.

import * as z from "zod/mini";
import { LEAST_SHARE } from "../../../shared/base/gpu-share.ts";
import { holdReasonSchema } from "../../session/session-event.ts";

/** How much of the time the GPU may compute. */
const shareSchema = z.number().check(z.gte(LEAST_SHARE), z.lte(1));

/** From the page to the Web Worker; events travel the other way as session-event.ts has them. */
export const commandSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("start"),
    url: z.string(),
    name: z.string(),
    tune: z.boolean(),
    /** The most to keep of what is fetched, in MiB, where somebody said so. */
    cacheMiB: z.optional(z.int().check(z.gte(0))),
    share: z.optional(shareSchema),
  }),
  z.strictObject({ type: z.literal("pause") }),
  z.strictObject({ type: z.literal("resume") }),
  z.strictObject({ type: z.literal("finish") }),
  z.strictObject({ type: z.literal("hold"), reason: z.optional(holdReasonSchema) }),
  z.strictObject({ type: z.literal("throttle"), share: shareSchema }),
  z.strictObject({ type: z.literal("list"), nickname: z.nullable(z.string()) }),
  z.strictObject({ type: z.literal("leave") }),
  z.strictObject({ type: z.literal("retry") }),
  z.strictObject({ type: z.literal("unplugged") }),
  /** Removes what is kept of the data. */
  z.strictObject({ type: z.literal("forget") }),
]);

export type Command = z.output<typeof commandSchema>;
