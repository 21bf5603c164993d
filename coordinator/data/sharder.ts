// From any importer's stream of samples to shards: the one place that checks, counts and cuts, so that importers only
// read.

import { BitswarmError } from "../../shared/base/errors.ts";
import {
  chunkSamples,
  type Dataset,
  MAX_SHARD_BYTES,
  MAX_SHARDS,
  MEDIA_PIXELS,
  type SampleFormat,
  type Shard,
  type Split,
  shardBytes,
} from "../../shared/data/dataset.ts";
import { targetBytes, writeShard } from "../../shared/data/shard-layout.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { SampleSource, SplitSource } from "./importers/importer.ts";
import type { ShardStore } from "./shard-store.ts";

/** Samples of every shard but a split's last, unless they are large. */
export const SHARD_SAMPLES = 2048;
/** Raw shards are not made larger: a worker holds one for each sample of a microbatch, if it must. */
export const RAW_SHARD_BYTES = 2 ** 26;
/** Sums of pixels and of their squares, per channel: integers, so exact and the same on every machine. */
export class PixelMoments {
  readonly #sums: Float64Array;
  readonly #squares: Float64Array;
  #pixels = 0;

  constructor(channels: number) {
    this.#sums = new Float64Array(channels);
    this.#squares = new Float64Array(channels);
  }

  add(pixels: Uint8Array): void {
    const channels = this.#sums.length;
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      let squares = 0;
      for (let i = c; i < pixels.length; i += channels) {
        sum += pixels[i];
        squares += pixels[i] * pixels[i];
      }
      this.#sums[c] += sum;
      this.#squares[c] += squares;
    }
    this.#pixels += pixels.length / channels;
  }

  /** Of pixels scaled to [0,1]. @throws DATA_INVALID for a channel of one value */
  take(origin: string): Pick<Dataset, "mean" | "std"> {
    const means = [...this.#sums].map((sum) => sum / this.#pixels);
    const std = means.map((mean, c) => Math.sqrt(Math.max(0, this.#squares[c] / this.#pixels - mean * mean)) / 255);
    std.forEach((deviation, c) => {
      if (deviation > 0) return;
      const which = means.length === 1 ? "every pixel" : `channel ${c} of every pixel`;
      throw new BitswarmError("DATA_INVALID", `${origin}: ${which} is ${means[c]}; expected images`);
    });
    return { mean: means.map((mean) => mean / 255), std };
  }
}

/** Contents are pixels of one shape. */
function hasPixels(format: SampleFormat): boolean {
  return format.kind === "raw" || format.media === MEDIA_PIXELS;
}

/** Samples of a shard: whole chunks of them. */
function samplesOfShard({ format, shape }: Pick<SampleSource, "format" | "shape">): number {
  const chunk = chunkSamples(format);
  const fitting = format.kind === "raw" ? Math.floor(RAW_SHARD_BYTES / shardBytes({ shape }, 1)) : SHARD_SAMPLES;
  return Math.max(chunk, Math.floor(Math.min(SHARD_SAMPLES, fitting) / chunk) * chunk);
}

interface ShardedSplit {
  readonly samples: number;
  readonly shards: Shard[];
  /** Samples of each class. */
  readonly perClass: Uint32Array;
}

/** Checks a sample and gives its target as bytes. */
function targetOf(
  value: number | Uint8Array,
  format: SampleFormat,
  classes: SampleSource["classes"],
  where: () => string,
): Uint8Array {
  const bytes = targetBytes(format);
  if (typeof value !== "number") {
    if (value.length === bytes && format.kind !== "raw") return value;
    throw new BitswarmError("DATA_INVALID", `${where()} has a target of ${value.length} bytes; expected ${bytes}`);
  }
  const largest = classes - 1;
  if (bytes !== 2 || !Number.isInteger(value) || value < 0 || value > largest) {
    throw new BitswarmError("DATA_INVALID", `${where()} has label ${value}; expected an integer from 0 to ${largest}`);
  }
  return Uint8Array.of(value & 0xff, value >> 8);
}

/** Reads the first `limit` samples of a split into shards of the store. */
async function cutSplit(
  source: SampleSource,
  split: Split,
  limit: number,
  store: Pick<ShardStore, "put">,
  moments: PixelMoments | undefined,
): Promise<ShardedSplit> {
  const { format, shape, classes } = source;
  const { samples: all, origin, read }: SplitSource = source[split];
  const samples = Math.min(limit, all);
  const each = samplesOfShard(source);
  if (samples < 1) throw new BitswarmError("DATA_INVALID", `${origin}: has no samples; expected at least 1`);
  const content = hasPixels(format) ? shape.h * shape.w * shape.c : undefined;
  const shards: Shard[] = [];
  const perClass = new Uint32Array(classes);
  let at = 0;
  const sizeAt = () => Math.min(each, samples - at);
  let size = sizeAt();
  let writer = writeShard(source, size, contentHash);
  for await (const sample of read()) {
    const where = () => `${origin}: sample ${at}`;
    if (content !== undefined && sample.content.length !== content) {
      throw new BitswarmError("DATA_INVALID", `${where()} has ${sample.content.length} bytes; expected ${content}`);
    }
    const target = targetOf(sample.target, format, classes, where);
    if (typeof sample.target === "number" && classes > 0) perClass[sample.target]++;
    moments?.add(sample.content);
    writer.add({ content: sample.content, target });
    at++;
    const whole = shards.length * each + size;
    if (at < whole) continue;
    const { bytes, sha256 } = writer.take();
    shards.push({ ...(await store.put(bytes, sha256)), samples: size });
    if (at === samples) return { samples, shards, perClass };
    size = sizeAt();
    writer = writeShard(source, size, contentHash);
  }
  throw new BitswarmError("DATA_INVALID", `${origin}: ends after ${at} samples; expected ${all}`);
}

/** A shard has one sample at least. */
function requireSmallSamples({ format, shape, train }: SampleSource): void {
  if (format.kind !== "raw") return;
  const bytes = shardBytes({ shape }, 1);
  if (bytes <= MAX_SHARD_BYTES) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${train.origin}: an image of ${shape.h}×${shape.w}×${shape.c} takes ${bytes} bytes; the limit is ${MAX_SHARD_BYTES}: make the images smaller`,
  );
}

/** A manifest of too many shards would not fit the message that carries it. */
function requireFewShards(source: SampleSource, limits: Readonly<Record<Split, number>>): void {
  const each = samplesOfShard(source);
  const [train, test] = (["train", "test"] as const).map((split) => Math.min(limits[split], source[split].samples));
  const shards = Math.ceil(train / each) + Math.ceil(test / each);
  if (shards <= MAX_SHARDS) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${source.train.origin}: ${train} + ${test} samples in shards of ${each} are ${shards} shards; the limit is ${MAX_SHARDS}: lower data.trainSamples`,
  );
}

/** A data set in shards. */
export interface Sharded {
  readonly dataset: Dataset;
  /** Labels of which a split has no sample, in what the run uses of it. */
  readonly unseen: Readonly<Record<Split, readonly number[]>>;
}

function unseenOf({ perClass }: ShardedSplit): number[] {
  return [...perClass].flatMap((samples, label) => (samples === 0 ? [label] : []));
}

/**
 * Cuts a data set into shards and describes it.
 * @param name of the data set
 * @param limits samples that the run uses of each split; all where there are fewer
 * @throws DATA_INVALID naming file, sample and value, STORAGE_FAILED
 */
export async function shardDataset(
  name: string,
  source: SampleSource,
  limits: Readonly<Record<Split, number>>,
  store: Pick<ShardStore, "put">,
): Promise<Sharded> {
  const { format, shape, classes, normalisation } = source;
  if (normalisation === "from-pixels" && format.kind !== "raw" && !hasPixels(format)) {
    throw new RangeError(
      `${name}: pixels of ${format.media} cannot be counted here; its importer must know their mean`,
    );
  }
  const moments = normalisation === "from-pixels" ? new PixelMoments(shape.c) : undefined;
  requireSmallSamples(source);
  requireFewShards(source, limits);
  const train = await cutSplit(source, "train", limits.train, store, moments);
  const test = await cutSplit(source, "test", limits.test, store, undefined);
  const scale = moments ? moments.take(source.train.origin) : (normalisation as Pick<Dataset, "mean" | "std">);
  return {
    dataset: {
      name,
      format,
      shape,
      classes,
      ...scale,
      train: { samples: train.samples, shards: train.shards },
      test: { samples: test.samples, shards: test.shards },
    },
    unseen: { train: unseenOf(train), test: unseenOf(test) },
  };
}
