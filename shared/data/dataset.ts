// The data set as workers see it: content-addressed shards of samples, described by a small manifest.

import { z } from "zod";
import { BitswarmError } from "../base/errors.ts";

/** Of a label on its own: u16, little-endian. */
export const LABEL_BYTES = 2;
/** Largest shard in bytes: a worker holds raw ones whole in memory, and offsets in the others are u32. */
export const MAX_SHARD_BYTES = 2 ** 28;
/** Most shards of a data set, both splits together: a manifest of so many fits a control message. */
export const MAX_SHARDS = 10_000;
/** Most bytes that a task may keep beside a sample's content. */
export const MAX_TARGET_BYTES = 4096;
/** Most samples that lie, are ordered and are fetched together. */
export const MAX_CHUNK_SAMPLES = 1024;
/** Most samples that an epoch draws of one stored content. */
export const MAX_DRAWS = 4096;

export const shardSchema = z.strictObject({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  samples: z.number().int().positive(),
  bytes: z.number().int().positive().max(MAX_SHARD_BYTES),
});

const splitSchema = z.strictObject({
  samples: z.number().int().positive(),
  shards: z.array(shardSchema).min(1).max(MAX_SHARDS),
  /**
   * How many samples are drawn of each content that is stored, 1 unless given: of S contents, sample v is draw ⌊v/S⌋ of
   * content v mod S.
   */
  draws: z.number().int().min(2).max(MAX_DRAWS).optional(),
});

/** The media of contents that are JPEG files. */
export const MEDIA_JPEG = "image/jpeg";
/** The media of contents that are pixels u8 [h][w][c] of the manifest's shape. */
export const MEDIA_PIXELS = "pixels";
/** The media of contents that are crops of one film, each a JPEG (clip.ts). */
export const MEDIA_CLIP = "clip";

/** What a sample is in a shard; shard-layout.ts reads and writes it. */
export const sampleFormatSchema = z.discriminatedUnion("kind", [
  /** Pixels u8 [samples][h][w][c], then as many labels, u16 little-endian. */
  z.strictObject({ kind: z.literal("raw") }),
  /** Contents of any length, such as encoded images, in chunks that stand on their own. */
  z.strictObject({
    kind: z.literal("bytes"),
    /** What a content is: `image/jpeg`, `pixels`, or what a task knows to read. */
    media: z.string().min(1).max(64),
    /** Of what the task knows of a sample beside its content; a label is 2, u16 little-endian. */
    targetBytes: z.number().int().min(0).max(MAX_TARGET_BYTES),
    /** Samples of every chunk but the last of a shard; shards, save a split's last, are whole chunks. */
    chunk: z.number().int().min(1).max(MAX_CHUNK_SAMPLES),
  }),
]);

export const datasetSchema = z.strictObject({
  name: z.string(),
  format: sampleFormatSchema,
  /** Of a sample that is decoded; of images of many sizes (`image/jpeg`) the least side of each, and the channels. */
  shape: z.strictObject({
    h: z.number().int().positive(),
    w: z.number().int().positive(),
    c: z.number().int().positive(),
  }),
  /** Of the labels; 0 where targets are no labels. */
  classes: z.number().int().min(0).max(65_536),
  /** Per channel, of pixels scaled to [0,1]. */
  mean: z.array(z.number()),
  std: z.array(z.number().positive()),
  train: splitSchema,
  test: splitSchema,
  /** Shards are elsewhere: `GET /shards/SHA256/url` says where for now. */
  presigned: z.boolean().optional(),
});

export type Shard = z.output<typeof shardSchema>;
export type SampleFormat = z.output<typeof sampleFormatSchema>;
export type BytesFormat = Extract<SampleFormat, { kind: "bytes" }>;
export type Dataset = z.output<typeof datasetSchema>;
export type Split = "train" | "test";

/** Contents of a split that a run uses. */
export function storedSamples({ samples, draws = 1 }: Pick<Dataset[Split], "samples" | "draws">): number {
  return samples / draws;
}

/** Whether reading a sample takes a decoder of JPEGs. */
export function holdsJpegs(format: SampleFormat): boolean {
  return format.kind === "bytes" && (format.media === MEDIA_JPEG || format.media === MEDIA_CLIP);
}

/** Where the content of sample `index` of a split lies. Every shard but the last has the same number of them. */
export function locateSample(
  dataset: Pick<Dataset, "name" | Split>,
  split: Split,
  index: number,
): { readonly shard: number; readonly row: number } {
  const { shards, samples } = dataset[split];
  if (index < 0 || index >= samples) {
    throw new BitswarmError(
      "DATA_INVALID",
      `sample ${index} is outside ${split} of ${dataset.name}, which has ${samples}`,
    );
  }
  const stored = index % storedSamples(dataset[split]);
  const each = shards[0].samples;
  return { shard: Math.floor(stored / each), row: stored % each };
}

/** Samples that are drawn and fetched together. */
export function chunkSamples(format: SampleFormat): number {
  return format.kind === "raw" ? 1 : format.chunk;
}

/** Bytes of a shard with this many raw samples. */
export function shardBytes({ shape: { h, w, c } }: Pick<Dataset, "shape">, samples: number): number {
  return samples * (h * w * c + LABEL_BYTES);
}
