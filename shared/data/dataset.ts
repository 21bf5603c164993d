// The data set as workers see it: content-addressed shards of raw pixels and labels, described by a small manifest.

import { z } from "zod";
import { BitswarmError } from "../base/errors.ts";

/** A shard holds `samples` images of u8 [h][w][c], then as many u16 little-endian labels. */
export const shardSchema = z.strictObject({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  samples: z.number().int().positive(),
  bytes: z.number().int().positive(),
});

const splitSchema = z.strictObject({
  samples: z.number().int().positive(),
  shards: z.array(shardSchema).min(1),
});

export const datasetSchema = z.strictObject({
  name: z.string(),
  shape: z.strictObject({
    h: z.number().int().positive(),
    w: z.number().int().positive(),
    c: z.number().int().positive(),
  }),
  classes: z.number().int().min(2).max(65_536),
  /** Per channel, of pixels scaled to [0,1]. */
  mean: z.array(z.number()),
  std: z.array(z.number().positive()),
  train: splitSchema,
  test: splitSchema,
});

export type Shard = z.output<typeof shardSchema>;
export type Dataset = z.output<typeof datasetSchema>;
export type Split = "train" | "test";

/** Where sample `index` of a split lies. Every shard but the last has the same number of samples. */
export function locateSample(
  dataset: Dataset,
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
  const each = shards[0].samples;
  return { shard: Math.floor(index / each), row: index % each };
}

/** Bytes of a shard with this many samples. */
export function shardBytes(dataset: Pick<Dataset, "shape">, samples: number): number {
  const { h, w, c } = dataset.shape;
  return samples * (h * w * c + 2);
}
