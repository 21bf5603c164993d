// What passes between the page and its Web Worker. Both ends check what they get: a stale script may sit at the other
// end after an update.

import * as z from "zod/mini";

/** From the page to the Web Worker; events travel the other way as session-event.ts has them. */
export const commandSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("start"), url: z.string(), name: z.string(), tune: z.boolean() }),
  z.strictObject({ type: z.literal("pause") }),
  z.strictObject({ type: z.literal("resume") }),
  z.strictObject({ type: z.literal("leave") }),
  z.strictObject({ type: z.literal("retry") }),
  z.strictObject({ type: z.literal("unplugged") }),
]);

export type Command = z.output<typeof commandSchema>;
