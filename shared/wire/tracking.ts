// What coordinator and workers say to each other of tracking: a job in place of a run, a film in place of samples, and
// boxes in place of gradients (SPEC.md, V).

import { z } from "zod";
import type { Box } from "../tracking/box.ts";
import { MAX_TEXT } from "./text-limit.ts";

const text = z.string().max(MAX_TEXT);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const counting = z.number().int().min(0);

/** Frames of one film: the longest of the data sets has 5,527. */
export const MAX_TRACK_FRAMES = 20_000;
export const HASH_BYTES = 32;
/** Boxes of one message: a worker says them as it goes. */
export const MAX_TRACKED_BOXES = 256;
/** Of a box's numbers: no picture is so wide, and a target may be far outside. */
export const MAX_COORDINATE = 1e7;
/** Sides of the pictures that a network sees, in pixels. */
export const MAX_CROP_SIDE = 1024;
export const MAX_TRACK_SCALES = 9;
/** Of a response: places a cell, and pixels a cell. */
export const MAX_UPSAMPLING = 64;

const coordinate = z.number().min(-MAX_COORDINATE).max(MAX_COORDINATE);
const extent = z.number().gt(0).max(MAX_COORDINATE);
const side = z.number().int().min(1).max(MAX_CROP_SIDE);
const share = z.number().min(0).max(1);

const trackOptionsSchema = z.strictObject({
  context: z.number().min(0).max(4),
  exemplar: side,
  instance: side,
  scales: z
    .number()
    .int()
    .min(1)
    .max(MAX_TRACK_SCALES)
    .refine((scales) => scales % 2 === 1, "an odd number is due"),
  scaleStep: z.number().gt(1).max(2),
  scalePenalty: share,
  scaleRate: share,
  windowInfluence: share,
  up: z.number().int().min(1).max(MAX_UPSAMPLING),
  stride: z.number().int().min(1).max(MAX_UPSAMPLING),
  clampScale: z.strictObject({ least: z.number().gt(0).max(1), most: z.number().min(1).max(100) }).optional(),
});

/** What computes the network. */
export const trackingBackends = ["webgpu", "wasm"] as const;
export type TrackingBackend = (typeof trackingBackends)[number];

/** The coordinator's word that lets a worker in where films are followed. */
export const trackingSchema = z.strictObject({
  type: z.literal("tracking"),
  protocol: z.number().int(),
  worker: text,
  /** Names the job. */
  run: text,
  /** For people: what is followed where. */
  name: text,
  heartbeatMs: z.number().int().positive(),
  /** An exported file, of the bytes at /blobs. */
  model: z.strictObject({ sha256: hash, bytes: counting }),
  options: trackOptionsSchema,
  /** Whichever a worker likes unless given. */
  backend: z.enum(trackingBackends).optional(),
});

/** One film to follow a target through. */
export const trackSchema = z.strictObject({
  type: z.literal("track"),
  lease: counting,
  /** For people. */
  sequence: text,
  /** From which pixels of the box count, and of the boxes of the answer. */
  base: z.union([z.literal(0), z.literal(1)]),
  box: z.strictObject({ x: coordinate, y: coordinate, w: extent, h: extent }),
  /** SHA-256 of each frame's file in order, 32 bytes each; the files are at /shards. */
  frames: z.custom<Uint8Array>(
    (hashes) =>
      hashes instanceof Uint8Array &&
      hashes.length > 0 &&
      hashes.length % HASH_BYTES === 0 &&
      hashes.length <= MAX_TRACK_FRAMES * HASH_BYTES,
    `1 to ${MAX_TRACK_FRAMES} hashes of ${HASH_BYTES} bytes are due`,
  ),
});

/** What a film's boxes are written as: float64, little-endian, x y w h and the seconds that it took. */
export const TRACKED_BOX_BYTES = 5 * 8;

/** The boxes of some frames of a lease, in order from frame `from` on; the lease is answered with its last frame. */
export const trackedSchema = z.strictObject({
  type: z.literal("tracked"),
  lease: counting,
  from: counting.max(MAX_TRACK_FRAMES),
  boxes: z.custom<Uint8Array>(
    (bytes) =>
      bytes instanceof Uint8Array &&
      bytes.length > 0 &&
      bytes.length % TRACKED_BOX_BYTES === 0 &&
      bytes.length <= MAX_TRACKED_BOXES * TRACKED_BOX_BYTES,
    `1 to ${MAX_TRACKED_BOXES} boxes of ${TRACKED_BOX_BYTES} bytes are due`,
  ),
});

export type TrackingMessage = z.output<typeof trackingSchema>;
export type TrackMessage = z.output<typeof trackSchema>;
export type TrackedMessage = z.output<typeof trackedSchema>;

/** A frame's answer. */
export interface TrackedFrame {
  readonly box: Box;
  readonly seconds: number;
}

export function packFrames(frames: readonly TrackedFrame[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frames.length * TRACKED_BOX_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, { box, seconds }] of frames.entries()) {
    const at = i * TRACKED_BOX_BYTES;
    for (const [j, value] of [box.x, box.y, box.w, box.h, seconds].entries()) view.setFloat64(at + 8 * j, value, true);
  }
  return bytes;
}

/** Not checked for sense: they are a peer's. */
export function unpackFrames(bytes: Uint8Array): readonly TrackedFrame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / TRACKED_BOX_BYTES }, (_, i) => {
    const at = i * TRACKED_BOX_BYTES;
    const [x, y, w, h, seconds] = [0, 8, 16, 24, 32].map((offset) => view.getFloat64(at + offset, true));
    return { box: { x, y, w, h }, seconds };
  });
}

/** Hashes in hex, of their bytes one behind the other. */
export function frameHashes(frames: Uint8Array): readonly string[] {
  return Array.from({ length: frames.length / HASH_BYTES }, (_, i) =>
    Array.from(frames.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join(""),
  );
}
