// How a run is doing, as the coordinator tells it to workers, pages and `status`.

import * as z from "zod/mini";
import { MOST_CONTACT, MOST_DESCRIPTION, MOST_URL } from "../run/config-limits.ts";
import { networkScoresSchema, shownScoreSchema } from "../tasks/shown-score.ts";
import { MAX_TEXT } from "./text-limit.ts";

const text = z.string().check(z.maxLength(MAX_TEXT));
const counting = z.int().check(z.gte(0));

/** What the terminal, the page and `status` show of a run. */
export const runStatusSchema = z.strictObject({
  run: text,
  name: text,
  /** What the run says of itself; over HTTP alone, for whoever opens its page. */
  about: z.optional(
    z.strictObject({
      description: z.string().check(z.maxLength(MOST_DESCRIPTION)),
      contact: z.string().check(z.maxLength(MOST_CONTACT)),
      /** Empty, or http or https. */
      url: z.string().check(
        z.maxLength(MOST_URL),
        z.refine((url) => /^(https?:\/\/|$)/.test(url)),
      ),
    }),
  ),
  /** What is trained so far can be tried at /demo; over HTTP and for the dashboard alone, and only where it can. */
  demo: z.optional(z.literal(true)),
  state: z.enum(["waiting", "training", "evaluating", "stopping", "done"]),
  phase: text,
  step: counting,
  steps: counting,
  epoch: counting,
  /** Samples of the current round that have been committed to it. */
  collected: counting,
  wanted: counting,
  workers: counting,
  samples: counting,
  samplesPerSecond: z.number(),
  etaSeconds: z.nullable(z.number()),
  /** What `etaSeconds` is of; nothing where that is null. Workers are not told. */
  eta: z.optional(
    z.strictObject({
      /** Evaluations that are in it. */
      evaluations: counting,
      /** Titles of phases in it that were never measured. */
      guessed: z.array(text).check(z.maxLength(64)),
    }),
  ),
  /** What the round waits for, in words. */
  reason: z.string().check(z.maxLength(1000)),
  loss: z.record(z.string(), z.number()),
  /** Mean bytes on a worker's socket for the last committed step; null before the first. */
  bytesPerWorker: z.nullable(z.strictObject({ down: counting, up: counting })),
  /** What a volunteer fetches; a coordinator of before it was told says nothing. */
  downlink: z.optional(
    z.strictObject({
      /** Of the trained network's weights, on average. */
      bitsPerWeight: z.number(),
      /** On joining: all that the phase computes with. */
      wholeBytes: counting,
      /** For the newest step, by who was there for the one before; null before there was one. */
      updateBytes: z.nullable(counting),
    }),
  ),
  /** How long the coordinator's event loop was kept from its turn in that step; null where nobody measures it. */
  loopDelayMs: z.nullable(z.strictObject({ max: z.number(), p99: z.number() })),
  /** The task's score on the last step's own samples; null before the first. */
  batchScore: z.nullable(shownScoreSchema),
  /** Newest score on the held-out samples of each network that has one, by its name. */
  scores: networkScoresSchema,
});

export type RunStatus = z.output<typeof runStatusSchema>;
