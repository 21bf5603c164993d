// What a session tells its owner: one discriminated union of plain values, so that it crosses from the Web Worker to
// the page and is checked there.

import * as z from "zod/mini";
import { type ErrorCode, errorCodes } from "../../shared/base/errors.ts";
import { runStatusSchema } from "../../shared/wire/run-status.ts";
import { tuningEventSchema } from "../tuning/tuning-event.ts";

const counting = z.int().check(z.gte(0));
const codeSchema = z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]);

const leaseSummarySchema = z.strictObject({
  lease: counting,
  phase: z.string(),
  network: z.string(),
  /** What is done in the phase, in words. */
  doing: z.string(),
  evaluate: z.boolean(),
  step: counting,
  epoch: counting,
  ranges: z.array(z.strictObject({ from: counting, to: counting })),
  /** Of a lease of tracking: the film in which a target is followed, whose frames the ranges are. */
  film: z.optional(z.string()),
});

/** Why a worker pauses without being told to. */
export const holdReasonSchema = z.enum(["battery", "hidden"]);

/** Where a session stands; fields exist only where they mean something. */
export const sessionStateSchema = z.discriminatedUnion("kind", [
  /** Asks for the device, then opens the socket. */
  z.strictObject({ kind: z.literal("connecting"), attempt: counting }),
  /** Hello is sent. */
  z.strictObject({ kind: z.literal("joining") }),
  /** Compiles and measures kernels before it wants a lease; events of tuning say how far it is. */
  z.strictObject({ kind: z.literal("preparing") }),
  /** Wants a lease. */
  z.strictObject({ kind: z.literal("waiting") }),
  z.strictObject({ kind: z.literal("computing"), lease: leaseSummarySchema }),
  /** Computes nothing: the volunteer wants it so, or has said when it is to be so. */
  z.strictObject({ kind: z.literal("paused"), why: z.enum(["volunteer", ...holdReasonSchema.options]) }),
  z.strictObject({
    kind: z.literal("reconnecting"),
    attempt: counting,
    delayMs: z.number(),
    code: codeSchema,
    message: z.string(),
  }),
  z.strictObject({ kind: z.literal("ended"), reason: z.enum(["run-over", "left"]), message: z.string() }),
  z.strictObject({ kind: z.literal("failed"), code: codeSchema, message: z.string() }),
]);

export const sessionEventSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("state"), state: sessionStateSchema }),
  z.strictObject({ type: z.literal("adapter"), description: z.string(), software: z.boolean() }),
  z.strictObject({ type: z.literal("joined"), run: z.string(), name: z.string(), worker: z.string() }),
  /** Who this worker is, by its key. */
  z.strictObject({ type: z.literal("identity"), account: z.string() }),
  /** The run's progress as the coordinator tells it. */
  z.strictObject({ type: z.literal("status"), status: runStatusSchema }),
  /** What this worker has given: only samples that the coordinator accepted. */
  z.strictObject({
    type: z.literal("contributed"),
    lease: leaseSummarySchema,
    samples: counting,
    leases: counting,
    samplesPerSecond: z.number(),
  }),
  /** What the volunteer wants, from the moment at which it was said. */
  z.strictObject({
    type: z.literal("wish"),
    paused: z.boolean(),
    /** It ends once what it holds is answered. */
    finishing: z.boolean(),
    /** What keeps it from computing, paused or not. */
    held: z.optional(holdReasonSchema),
  }),
  /** How much of the time the GPU is to compute and, while less than all is asked, does of late. */
  z.strictObject({ type: z.literal("duty"), asked: z.number(), measured: z.optional(z.number()) }),
  /** Bytes of its sockets and downloads so far. */
  z.strictObject({ type: z.literal("traffic"), down: counting, up: counting }),
  /** Something went wrong and the session goes on. */
  z.strictObject({ type: z.literal("trouble"), code: codeSchema, message: z.string() }),
  /** What of the data stays on this device. */
  z.strictObject({ type: z.literal("kept"), bytes: counting }),
  tuningEventSchema,
]);

export type LeaseSummary = z.output<typeof leaseSummarySchema>;
export type SessionState = z.output<typeof sessionStateSchema>;
export type HoldReason = z.output<typeof holdReasonSchema>;
/** Why a worker is paused. */
export type PauseReason = Extract<SessionState, { kind: "paused" }>["why"];
export type SessionEvent = z.output<typeof sessionEventSchema>;
/** The states that a session does not leave. */
export type SessionEnd = Extract<SessionState, { kind: "ended" | "failed" }>;
