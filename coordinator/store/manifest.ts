// What a store of imported images says of itself: its manifest, whose limits keep a strange one from filling the
// memory, and the names of what lies beside it.

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { MOST_CROPS } from "../../shared/data/clip.ts";
import { MOST_CLASSES, MOST_SAMPLES } from "../../shared/data/data-kinds.ts";
import { type BytesFormat, MAX_CHUNK_SAMPLES, MAX_SHARDS, MEDIA_CLIP, shardSchema } from "../../shared/data/dataset.ts";

export const STORE_FORMAT = "bitswarm-store";
export const STORE_VERSION = 1;
export const MANIFEST_FILE = "manifest.json";
export const SHARDS_FOLDER = "shards";
/** Where an import works until the manifest is written. */
export const UNFINISHED_FOLDER = "unfinished";

/** Most bytes of a manifest: 65,536 classes and 10,000 shards take less. */
export const MOST_MANIFEST_BYTES = 2 ** 26;
/** Longest name of a class: WordNet's have up to 160 characters. */
export const LONGEST_CLASS_NAME = 400;
/** Largest side of what a sample decodes to. */
const MOST_SIDE = 65_535;
/** A label is u16, little-endian. */
export const LABEL_TARGET_BYTES = 2;

export const storeSplits = ["train", "val", "test"] as const;
export type StoreSplit = (typeof storeSplits)[number];

export const storeMedia = ["image/jpeg", "pixels", MEDIA_CLIP] as const;
export type StoreMedia = (typeof storeMedia)[number];

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().max(4096);
const side = z.number().int().min(1).max(MOST_SIDE);

const classSchema = z.strictObject({
  name: z.string().min(1).max(LONGEST_CLASS_NAME),
  /** WordNet's, where the source has one. */
  id: z.string().min(1).max(LONGEST_CLASS_NAME).optional(),
});

const splitSchema = z
  .strictObject({
    samples: z.number().int().positive().max(MOST_SAMPLES),
    shards: z.array(shardSchema).min(1).max(MAX_SHARDS),
  })
  .refine(({ samples, shards }) => shards.reduce((sum, shard) => sum + shard.samples, 0) === samples, {
    error: "has not as many samples as its shards",
  })
  .refine(({ shards }) => shards.every(({ samples }, i) => i === shards.length - 1 || samples === shards[0].samples), {
    error: "has shards of different numbers of samples before the last",
  });

/** What decides the bytes of a store, beside its source. */
export const importOptionsSchema = z.strictObject({
  seed: z.number().int().min(0).max(0xffffffff),
  /** Samples that lie, are ordered and are fetched together. */
  chunk: z.number().int().min(1).max(MAX_CHUNK_SAMPLES),
  /** Shorter side of images that were larger. */
  short: side,
  /** Of JPEG, of training images that were made smaller. */
  quality: z.number().int().min(1).max(100),
  /** Share of the training images that is held out where the source has no other split. */
  holdout: z.number().min(0).max(0.9),
  /** Of clips alone: most crops of each. */
  crops: z.number().int().min(2).max(MOST_CROPS).optional(),
});

const sideFileSchema = z.strictObject({ sha256: hash, bytes: z.number().int().min(0) });

const manifestSchema = z
  .strictObject({
    format: z.literal(STORE_FORMAT),
    version: z.literal(STORE_VERSION),
    layout: z.strictObject({ kind: text, title: text, why: text }),
    options: importOptionsSchema,
    media: z.enum(storeMedia),
    /** Of pixels, the shape of each; of JPEG a bound: the shorter side of those that were made smaller. */
    shape: z.strictObject({ h: side, w: side, c: z.number().int().min(1).max(4) }),
    classes: z.array(classSchema).min(1).max(MOST_CLASSES),
    /** Per channel, of pixels scaled to [0,1]. */
    mean: z.array(z.number()).min(1).max(4),
    std: z.array(z.number().positive()).min(1).max(4),
    /** What decoded and resized the images. */
    decoder: text,
    splits: z.strictObject({
      train: splitSchema,
      val: splitSchema.optional(),
      test: splitSchema.optional(),
    }),
    /** Files that were decoded some other way than workers would, and those that were left out. */
    converted: z.number().int().min(0),
    rejected: z.number().int().min(0),
    files: z.record(z.string().max(64), sideFileSchema),
  })
  // What is in a clip is told to people, and learned by nobody.
  .refine(({ media, classes }) => media === MEDIA_CLIP || classes.length > 1, {
    error: "must be at least two",
    path: ["classes"],
  })
  .refine(({ shape, mean, std }) => mean.length === shape.c && std.length === shape.c, {
    error: "has not one mean and one deviation a channel",
  })
  .refine(
    ({ files, splits }) => sideFiles(storeSplits.filter((split) => splits[split])).every((name) => name in files),
    { error: "has not a hash of each side file" },
  );

export type StoreManifest = z.output<typeof manifestSchema>;
export type ImportOptions = z.output<typeof importOptionsSchema>;

/** The list of a split's samples. */
export function samplesFile(split: StoreSplit): string {
  return `samples-${split}.tsv`;
}

export const CONVERTED_FILE = "converted.ndjson";
export const REJECTED_FILE = "rejected.ndjson";

/** The files that lie beside a store's manifest. */
export function sideFiles(splits: readonly StoreSplit[]): string[] {
  return [...splits.map(samplesFile), CONVERTED_FILE, REJECTED_FILE];
}

/** How samples lie in the shards of a store; a clip, which has many pictures, is a chunk of its own. */
export function storeFormat({ media, options }: Pick<StoreManifest, "media" | "options">): BytesFormat {
  const chunk = media === MEDIA_CLIP ? 1 : options.chunk;
  return { kind: "bytes", media, targetBytes: LABEL_TARGET_BYTES, chunk };
}

/**
 * Reads a manifest.
 * @param where it lies, for errors
 * @throws DATA_INVALID naming the field, the limit and the value
 */
export function parseManifest(bytes: Uint8Array, where: string): StoreManifest {
  if (bytes.length > MOST_MANIFEST_BYTES) {
    throw invalid(where, `has ${bytes.length} bytes; at most ${MOST_MANIFEST_BYTES} are read of it`);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid(where, "is no JSON");
  }
  const { format, version } = (json ?? {}) as { format?: unknown; version?: unknown };
  if (format === STORE_FORMAT && typeof version === "number" && version !== STORE_VERSION) {
    throw invalid(where, `is of a store of version ${version}; this program reads version ${STORE_VERSION}`);
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  throw invalid(where, `is not of a store: ${[...path, message].join(": ")}`);
}

function invalid(where: string, what: string): BitswarmError {
  return new BitswarmError(
    "DATA_INVALID",
    `${where} ${what}: import the images again, into a new folder, or copy the store anew`,
  );
}
