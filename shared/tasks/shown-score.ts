// A score as people are shown it: with its name, and in words, so that who shows it need not know the task.
//
// Schemas of what the volunteer page reads itself are of `zod/mini`: bundlers drop what of it is not called.

import * as z from "zod/mini";

const text = (longest: number) => z.string().check(z.maxLength(longest));

/** Other scores of a network that a status shows. */
const MOST_OTHERS = 8;

const shown = {
  name: text(64),
  value: z.number(),
  better: z.enum(["higher", "lower"]),
  text: text(128),
  sentence: text(256),
  /** What is told beside it: top-5 beside top-1. */
  others: z.optional(
    z
      .array(z.strictObject({ name: text(64), value: z.number(), better: z.enum(["higher", "lower"]) }))
      .check(z.maxLength(MOST_OTHERS)),
  ),
};

export const shownScoreSchema = z.strictObject(shown);

/** By network; `title` is what people call it. */
export const networkScoresSchema = z.record(text(64), z.strictObject({ ...shown, title: text(200) }));

export type NetworkScores = z.output<typeof networkScoresSchema>;
export type ShownScore = z.output<typeof shownScoreSchema>;
