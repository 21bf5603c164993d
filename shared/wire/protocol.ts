// The messages between coordinator and worker, version 3. SPEC.md gives each rule an id; bulk bytes travel in frames
// (frame.ts), not here.

import { z } from "zod";
import { errorCodes } from "../base/errors.ts";
import { codecKind } from "../codecs/codecs.ts";
import { datasetSchema } from "../data/dataset.ts";
import { MAX_TOLD_CHUNKS } from "../data/train-chunks.ts";
import { outlineSchema } from "../model/phases.ts";
import { runConfigField } from "../run/config.ts";
import { MAX_BITMAP_BYTES } from "./chunk-set.ts";
import { MAX_LEASE_RANGES, MAX_MICROBATCHES } from "./lease-ranges.ts";
import { decodePlain, encodePlain } from "./plain-message.ts";
import { runStatusSchema } from "./run-status.ts";
import { MAX_TEXT } from "./text-limit.ts";
import { trackedSchema, trackingSchema, trackSchema } from "./tracking.ts";

export const PROTOCOL_VERSION = 5;
const text = z.string().max(MAX_TEXT);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const counting = z.number().int().min(0);
const word = z.number().int().min(0).max(0xffffffff);

const adapterSchema = z.strictObject({
  vendor: text,
  architecture: text,
  description: text,
  /** True for SwiftShader, lavapipe and their like. */
  software: z.boolean(),
});

/** Names that one message may bring. */
const MAX_NAMES = 64;
/** SHA-256 by the name of a network or a partner. */
const hashes = z
  .record(text, hash)
  .refine((named) => Object.keys(named).length <= MAX_NAMES, `at most ${MAX_NAMES} names are due`);

const leaseFields = {
  lease: counting,
  /** Names of the welcome's program. */
  phase: text,
  network: text,
  /** Optimizer steps committed before this round. */
  step: counting,
  /** Counts every round, evaluations too: names a round for its contributions. */
  round: counting,
  pass: counting,
  epoch: counting,
  split: z.enum(["train", "test"]),
  /** Positions of the pass's permutation, or of the test split itself, in the order in which they are computed. */
  ranges: z
    .array(z.strictObject({ from: counting, to: counting }))
    .min(1)
    .max(MAX_LEASE_RANGES),
  /** Of the expanded blob of the network's own parameters. */
  parametersHash: hash,
  /** Of the partners that take part in the round, by name. */
  partners: hashes,
  /** Of each loss of the phase, by kind. */
  weights: z.record(text, z.number().min(0)),
  /** In `sync: local` each microbatch is a step of the inner optimizer with this rate; evaluations have none. */
  innerLearningRate: z.number().min(0).optional(),
  codec: codecKind,
  /** Error feedback of another era is void: a new one begins with each checkpoint that the run may be resumed from. */
  era: counting,
  /** Unit 2^e of each tensor of the contribution layout. */
  exponents: z.array(z.number().int().min(-126).max(126)),
  timeoutMs: z.number().int().positive(),
};

const { lease: _lease, ranges: _ranges, ...termFields } = leaseFields;
/** What all leases of a round share: of coordinators and gateways of one run, too. */
export const leaseTermsSchema = z.strictObject({ ...termFields, frozen: hashes });

/** Bytes of the bits of one `chunks`: several of them tell of a large data set. */
export const MAX_CHUNK_BITS_BYTES = 4096;

/** Leases that a worker may hold when its connection is lost. */
const MAX_RESUMED = 16;

const u32 = counting.max(0xffff_ffff);

/** Of either side: how frames that are too long for one message travel (transfer/, SPEC.md, T). */
const offerSchema = z.strictObject({
  type: z.literal("offer"),
  transfer: u32,
  /** Of the whole frame. */
  bytes: u32,
  /** The lease that a contribution answers; null for parameters. */
  lease: counting.nullable(),
});
const haveSchema = z.strictObject({
  type: z.literal("have"),
  transfer: u32,
  /** Bitmap of the chunks that arrived: bit i & 7 of byte i >> 3. */
  chunks: z.custom<Uint8Array>(
    (bitmap) => bitmap instanceof Uint8Array && bitmap.length <= MAX_BITMAP_BYTES,
    `a bitmap of at most ${MAX_BITMAP_BYTES} bytes is due`,
  ),
  /** Chunks that may be on their way at once: sent over this connection, and in no bitmap that has come. */
  credit: counting,
});
/**
 * Why a lease is taken away: somebody else answered, its time is over, its round ended without it, or the run stops.
 */
export const cancelReasons = ["answered", "expired", "sealed", "stopped", "rests"] as const;

/** Why a worker gives a lease back. */
export const returnReasons = ["pause", "leave", "device-lost", "not-finite", "error"] as const;

const microbatches = z.number().int().min(1).max(MAX_MICROBATCHES);

export const workerMessageSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("hello"),
    protocol: z.number().int(),
    token: text,
    name: text,
    runtime: z.enum(["browser", "deno", "node"]),
    adapter: adapterSchema,
    /** Hashes of the parameters that it still holds of the run, so that a change is enough after a reconnect. */
    holds: hashes.optional(),
    /** Of the key pair that the worker made: an uncompressed P-256 point in hex. */
    publicKey: z.string().regex(/^04[0-9a-f]{128}$/),
    /** Goes on with the session of a connection that was lost. */
    resume: z
      .strictObject({
        /** The welcome's session token. */
        session: text,
        /** Leases that are computed, or whose verdict is awaited. */
        leases: z.array(counting).max(MAX_RESUMED),
      })
      .optional(),
    /** The most microbatches of one lease that it can hold in memory, where it knows. */
    maxMicrobatches: microbatches.optional(),
  }),
  /** The answer to a challenge: ECDSA with SHA-256 over `proofBytes`, r ‖ s in hex. */
  z.strictObject({ type: z.literal("proof"), signature: z.string().regex(/^[0-9a-f]{128}$/) }),
  /** The hash of the sums that the canary of this seed asks for. */
  z.strictObject({ type: z.literal("canary-answer"), seed: word, hash: word }),
  /** Wants a lease; `ahead` while it holds one that it will have answered. */
  z.strictObject({ type: z.literal("ready"), ahead: z.boolean().optional(), maxMicrobatches: microbatches.optional() }),
  /** Which chunks of the training split it holds, of a stretch of them: what it said of others stands. */
  z.strictObject({
    type: z.literal("chunks"),
    /** Number of the first, a multiple of 8. */
    from: counting.max(MAX_TOLD_CHUNKS).refine((first) => first % 8 === 0, "a multiple of 8 is due"),
    /** Chunk from + i is bit i & 7 of byte i >> 3. */
    bits: z.custom<Uint8Array>(
      (bits) => bits instanceof Uint8Array && bits.length > 0 && bits.length <= MAX_CHUNK_BITS_BYTES,
      `1 to ${MAX_CHUNK_BITS_BYTES} bytes are due`,
    ),
  }),
  /** Was sent a change of parameters that it does not hold, and wants them whole. */
  z.strictObject({ type: z.literal("need"), set: text }),
  z.strictObject({ type: z.literal("return"), lease: counting, reason: z.enum(returnReasons), detail: text }),
  z.strictObject({ type: z.literal("paused") }),
  z.strictObject({ type: z.literal("leave") }),
  /** Wants to be seen on the run's board under this nickname, or not at all. */
  z.strictObject({ type: z.literal("list"), nickname: text.nullable() }),
  z.strictObject({ type: z.literal("ping"), nonce: counting }),
  z.strictObject({ type: z.literal("pong"), nonce: counting }),
  offerSchema,
  haveSchema,
  trackedSchema,
]);

export const coordinatorMessageSchema = z.discriminatedUnion("type", [
  /** Asks for a proof that the hello's key is the worker's own. */
  z.strictObject({ type: z.literal("challenge"), nonce: hash, run: text, protocol: z.number().int() }),
  z.strictObject({
    type: z.literal("welcome"),
    protocol: z.number().int(),
    worker: text,
    run: text,
    /** 16 bytes in hex: names the run in frames. */
    runTag: z.string().regex(/^[0-9a-f]{32}$/),
    config: runConfigField,
    /** What leases name: the run's networks and phases. */
    program: outlineSchema,
    dataset: datasetSchema,
    heartbeatMs: z.number().int().positive(),
    /** Names the session in the hello after a lost connection; nobody else may know it. */
    session: text,
    /** How long a session waits for its worker to come back. */
    graceMs: counting,
  }),
  /** The session goes on; verdicts that were missed follow. */
  z.strictObject({
    type: z.literal("resumed"),
    worker: text,
    /** Those of the hello's leases that are still this worker's to answer. */
    leases: z.array(counting),
    /** Its last ready still stands. */
    waiting: z.boolean(),
  }),
  z.strictObject({
    type: z.literal("lease"),
    ...leaseFields,
    /** Of the bytes at /blobs of each network that the phase needs, by name. */
    frozen: hashes,
  }),
  /** Asks for the sums of shared/model/canary.ts before anything that counts. */
  z.strictObject({ type: z.literal("canary"), seed: word }),
  /** The lease is over: nothing is due for it any more, and the worker may ask for the next. */
  z.strictObject({ type: z.literal("cancel"), lease: counting, reason: z.enum(cancelReasons) }),
  /** No lease for so long, and why, in words for the volunteer. */
  z.strictObject({ type: z.literal("rest"), ms: counting, message: text }),
  z.strictObject({ type: z.literal("accepted"), lease: counting, samples: counting }),
  z.strictObject({ type: z.literal("rejected"), lease: counting, code: z.enum(codes()), message: z.string() }),
  z.strictObject({ type: z.literal("status"), status: runStatusSchema }),
  z.strictObject({ type: z.literal("ended"), message: z.string() }),
  z.strictObject({ type: z.literal("error"), code: z.enum(codes()), message: z.string(), retry: z.boolean() }),
  z.strictObject({ type: z.literal("ping"), nonce: counting }),
  z.strictObject({ type: z.literal("pong"), nonce: counting }),
  offerSchema,
  haveSchema,
  trackingSchema,
  trackSchema,
]);

function codes(): [keyof typeof errorCodes, ...(keyof typeof errorCodes)[]] {
  return Object.keys(errorCodes) as [keyof typeof errorCodes, ...(keyof typeof errorCodes)[]];
}

export type WorkerMessage = z.output<typeof workerMessageSchema>;
export type CoordinatorMessage = z.output<typeof coordinatorMessageSchema>;
export type LeaseMessage = Extract<CoordinatorMessage, { type: "lease" }>;
export type ChallengeMessage = Extract<CoordinatorMessage, { type: "challenge" }>;
export type HelloMessage = Extract<WorkerMessage, { type: "hello" }>;
export type WelcomeMessage = Extract<CoordinatorMessage, { type: "welcome" }>;
export type AdapterDescription = z.output<typeof adapterSchema>;
export type OfferMessage = z.output<typeof offerSchema>;
export type HaveMessage = z.output<typeof haveSchema>;
export type CancelReason = (typeof cancelReasons)[number];
export type ReturnReason = (typeof returnReasons)[number];

export function encodeMessage(message: WorkerMessage | CoordinatorMessage): Uint8Array<ArrayBuffer> {
  return encodePlain(message);
}

/**
 * The protocol version that a hello of any version names, so that a mismatch is called by its name; undefined where it
 * is no hello.
 */
export function helloProtocol(bytes: Uint8Array): number | undefined {
  try {
    return decodePlain(bytes, z.looseObject({ type: z.literal("hello"), protocol: z.number().int() })).protocol;
  } catch {
    return undefined;
  }
}

/** @throws MESSAGE_INVALID, FRAME_TOO_LARGE */
export function decodeWorkerMessage(bytes: Uint8Array): WorkerMessage {
  return decodePlain(bytes, workerMessageSchema);
}

/** @throws MESSAGE_INVALID, FRAME_TOO_LARGE */
export function decodeCoordinatorMessage(bytes: Uint8Array): CoordinatorMessage {
  return decodePlain(bytes, coordinatorMessageSchema);
}
