// The messages between coordinator and worker, version 3. SPEC.md gives each rule an id; bulk bytes travel in frames
// (frame.ts), not here.

import { Packr } from "msgpackr";
import { z } from "zod";
import { BitswarmError, errorCodes } from "../base/errors.ts";
import { codecKind } from "../codecs/codecs.ts";
import { datasetSchema } from "../data/dataset.ts";
import { outlineSchema } from "../model/phases.ts";
import { runConfigField } from "../run/config.ts";
import { MAX_BITMAP_BYTES } from "./chunk-set.ts";
import { isPlainMsgpack } from "./plain-msgpack.ts";
import { runStatusSchema } from "./run-status.ts";
import { MAX_TEXT } from "./text-limit.ts";

export const PROTOCOL_VERSION = 3;
/** Largest control message in bytes; a data set manifest of 10,000 shards fits. */
export const MAX_MESSAGE_BYTES = 1 << 20;
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
  /** Positions [from, to): of the pass's permutation, or of the test split itself. */
  from: counting,
  to: counting,
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
/** Most microbatches of one lease that a worker can be asked for; the configuration's limit is below. */
export const MAX_MICROBATCHES = 1024;

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
  /** Was sent a change of parameters that it does not hold, and wants them whole. */
  z.strictObject({ type: z.literal("need"), set: text }),
  z.strictObject({ type: z.literal("return"), lease: counting, reason: z.enum(returnReasons), detail: text }),
  z.strictObject({ type: z.literal("paused") }),
  z.strictObject({ type: z.literal("leave") }),
  z.strictObject({ type: z.literal("ping"), nonce: counting }),
  z.strictObject({ type: z.literal("pong"), nonce: counting }),
  offerSchema,
  haveSchema,
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

// Plain msgpack maps: no record extension, and integers of 64 bits are numbers, so that any msgpack implementation can
// be a peer. From 2^53 on they are no safe integers, which no schema takes.
const packr = new Packr({ useRecords: false, int64AsType: "number" });

/** Integers that the msgpack library writes as such; others would be float64. */
const isShort = (value: number) => value >>> 0 === value || value >> 0 === value;

/** The same value, in which integers beyond 32 bits are written as integers. Lists of numbers have none. */
function withIntegers(value: unknown): unknown {
  if (typeof value === "number") return isShort(value) || !Number.isSafeInteger(value) ? value : BigInt(value);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return typeof value[0] === "object" ? value.map(withIntegers) : value;
  let copy: Record<string, unknown> | undefined;
  for (const [name, one] of Object.entries(value)) {
    const written = withIntegers(one);
    if (written === one) continue;
    copy ??= { ...value };
    copy[name] = written;
  }
  return copy ?? value;
}

export function encodeMessage(message: WorkerMessage | CoordinatorMessage): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(packr.pack(withIntegers(message)));
}

function decode<T>(bytes: Uint8Array, schema: z.ZodType<T>): T {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new BitswarmError(
      "FRAME_TOO_LARGE",
      `a control message has ${bytes.length} bytes; the limit is ${MAX_MESSAGE_BYTES}`,
    );
  }
  if (!isPlainMsgpack(bytes)) {
    const what = `a message of ${bytes.length} bytes is not one plain msgpack value`;
    throw new BitswarmError("MESSAGE_INVALID", `${what}: extensions, deep nesting and bytes behind it are refused`);
  }
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (cause) {
    throw new BitswarmError("MESSAGE_INVALID", `a message of ${bytes.length} bytes is not msgpack`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new BitswarmError(
    "MESSAGE_INVALID",
    `message refused at ${issue.path.join(".") || "its top"}: ${issue.message}`,
  );
}

/**
 * The protocol version that a hello of any version names, so that a mismatch is called by its name; undefined where it
 * is no hello.
 */
export function helloProtocol(bytes: Uint8Array): number | undefined {
  try {
    return decode(bytes, z.looseObject({ type: z.literal("hello"), protocol: z.number().int() })).protocol;
  } catch {
    return undefined;
  }
}

/** @throws MESSAGE_INVALID, FRAME_TOO_LARGE */
export function decodeWorkerMessage(bytes: Uint8Array): WorkerMessage {
  return decode(bytes, workerMessageSchema);
}

/** @throws MESSAGE_INVALID, FRAME_TOO_LARGE */
export function decodeCoordinatorMessage(bytes: Uint8Array): CoordinatorMessage {
  return decode(bytes, coordinatorMessageSchema);
}
