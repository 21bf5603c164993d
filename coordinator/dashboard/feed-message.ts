// What the coordinator and the dashboard's page say to each other over the feed: first the whole of what there is to
// see, then, at most once a second, what changed. Encoded once, whoever looks on.

import * as z from "zod/mini";
import { runStatusSchema } from "../../shared/wire/run-status.ts";

/** Longest message of a page, in bytes: a command with a token. */
export const MOST_PAGE_MESSAGE_BYTES = 4096;
/** Lines of the log that the whole begins with, and that a page keeps. */
export const MOST_EVENTS = 500;
/** How far back a worker's timeline goes, and in which steps what it did before a page came is told. */
export const TIMELINE_MS = 300_000;
export const TIMELINE_CELL_MS = 5_000;
export const TIMELINE_CELLS = TIMELINE_MS / TIMELINE_CELL_MS;
/** Cells of the ledger's strip. */
export const STRIP_CELLS = 240;

/**
 * What a worker is shown to do: what the rounds know of it (coordinator/engine/run-watch.ts), `uploading` where its
 * answer is on the way, `stalled` where it takes longer than its speed lets expect.
 */
export const workerStates = [
  "preparing",
  "waiting",
  "computing",
  "uploading",
  "checking",
  "stalled",
  "away",
  "resting",
] as const;
export type WorkerState = (typeof workerStates)[number];

const counting = z.int().check(z.gte(0));
const text = z.string();

/** What does not change of a worker while it is there. */
const workerFactsSchema = z.strictObject({
  worker: text,
  /** First digits of the SHA-256 of its key. */
  account: text,
  name: text,
  runtime: text,
  adapter: text,
  /** The adapter is software. */
  software: z.boolean(),
  /** Started by whoever started the run. */
  own: z.boolean(),
});
export type WorkerFacts = z.output<typeof workerFactsSchema>;

/**
 * What changes of it, in this order: its name, its state's place in the list, 1 while it is drained, samples a second
 * or null, samples that it holds, samples that were accepted of it, round trip in ms or null, audits in a row that
 * confirmed it or null where there were none, audits that went against it, bytes down to it and up from it.
 */
const workerRowSchema = z.tuple([
  text,
  counting,
  counting,
  z.nullable(z.number()),
  counting,
  counting,
  z.nullable(z.number()),
  z.nullable(counting),
  counting,
  counting,
  counting,
]);
export type WorkerRow = z.output<typeof workerRowSchema>;

/** Of each worker the number of its first cell since 1970, and a digit a cell: its state's place in the list. */
const pastSchema = z.array(z.tuple([text, counting, text]));
export type PastCells = z.output<typeof pastSchema>;

/** The pass at hand as a strip of cells: of each how much is committed, collected and leased, in 255ths. */
const passSchema = z.strictObject({
  title: text,
  samples: counting,
  committed: z.array(counting),
  collected: z.array(counting),
  leased: z.array(counting),
});
export type PassView = z.output<typeof passSchema>;

const operationsSchema = z.strictObject({
  paused: z.enum(["no", "soon", "yes"]),
  /** Nobody drives it: what is shown is on its disk. */
  stopped: z.boolean(),
  checkpointStep: z.nullable(counting),
  checkpointWanted: z.boolean(),
});
export type Operations = z.output<typeof operationsSchema>;

const eventLineSchema = z.strictObject({
  /** Counts the lines. */
  id: counting,
  /** Milliseconds since 1970. */
  time: z.number(),
  kind: text,
  /** In words. */
  text,
});
export type EventLine = z.output<typeof eventLineSchema>;

const trafficSchema = z.nullable(z.strictObject({ down: counting, up: counting }));

const view = {
  /** Milliseconds since 1970. */
  at: z.number(),
  status: runStatusSchema,
  operations: operationsSchema,
  pass: passSchema,
  /** Another number where there is more to see in the run's history. */
  history: counting,
  /** Bytes of the last step, all workers together. */
  traffic: trafficSchema,
};

export const feedMessageSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("whole"),
    /** Whether there is somebody who drives the run, and may be told to do something. */
    driven: z.boolean(),
    ...view,
    facts: z.array(workerFactsSchema),
    rows: z.array(workerRowSchema),
    /** What workers did in the last minutes. */
    past: pastSchema,
    events: z.array(eventLineSchema),
  }),
  z.strictObject({
    type: z.literal("change"),
    at: z.number(),
    status: z.optional(runStatusSchema),
    operations: z.optional(operationsSchema),
    pass: z.optional(passSchema),
    history: z.optional(counting),
    traffic: z.optional(trafficSchema),
    /** Who came, and who left. */
    facts: z.optional(z.array(workerFactsSchema)),
    left: z.optional(z.array(text)),
    rows: z.optional(z.array(workerRowSchema)),
    events: z.optional(z.array(eventLineSchema)),
  }),
  /** The answer to a command. */
  z.strictObject({ type: z.literal("done"), id: counting, message: text }),
  z.strictObject({ type: z.literal("refused"), id: counting, code: text, message: text }),
]);
export type FeedMessage = z.output<typeof feedMessageSchema>;
export type WholeView = Extract<FeedMessage, { type: "whole" }>;
export type ViewChange = Extract<FeedMessage, { type: "change" }>;

const commandSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("pause") }),
  z.strictObject({ type: z.literal("go-on") }),
  z.strictObject({ type: z.literal("checkpoint") }),
  /** Ends the run when the step in hand is done. */
  z.strictObject({ type: z.literal("stop") }),
  z.strictObject({ type: z.literal("drain"), worker: z.string().check(z.maxLength(64)) }),
  /** Does nothing: asks whether the token is the operator's. */
  z.strictObject({ type: z.literal("may-i") }),
]);
export type Command = z.output<typeof commandSchema>;

/** What a page says: a command of whoever has the operator's token, which comes with each. */
export const pageMessageSchema = z.strictObject({
  type: z.literal("command"),
  /** Comes back with the answer. */
  id: counting,
  token: z.string().check(z.maxLength(512)),
  command: commandSchema,
});
export type PageMessage = z.output<typeof pageMessageSchema>;

/** What `/dashboard/runs` answers: runs of the same folder, the newest first. */
export const runListSchema = z.strictObject({
  runs: z.array(z.strictObject({ run: text, own: z.boolean(), changedAt: z.number() })),
});
export type RunList = z.output<typeof runListSchema>;

const numbers = z.array(z.nullable(z.number()));

/** What `/dashboard/history` answers: columns of equal length, as charts take them. */
export const historyAnswerSchema = z.strictObject({
  generation: counting,
  /** Series that there are, of steps and of layers. */
  names: z.strictObject({ steps: z.array(text), layers: z.array(text) }),
  passes: z.array(z.strictObject({ phase: text, epoch: counting, after: counting })),
  evaluations: z.array(
    z.strictObject({
      step: counting,
      time: z.nullable(z.number()),
      network: text,
      score: text,
      value: z.number(),
    }),
  ),
  stepsPerPoint: counting,
  steps: z.array(counting),
  times: numbers,
  series: z.record(text, z.strictObject({ mean: numbers, least: z.optional(numbers), most: z.optional(numbers) })),
});
export type HistoryAnswer = z.output<typeof historyAnswerSchema>;
