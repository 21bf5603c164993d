// From the bytes of shards to a microbatch: padded, augmented, normalised. Pure, and a function of (seed, kind, epoch, sample) alone.

import { BitswarmError } from "../../shared/base/errors.ts";
import { rng } from "../../shared/base/rng.ts";
import { type Dataset, locateSample, type Shard, type Split } from "../../shared/data/dataset.ts";
import { labelOf, readShard, type ShardRows } from "../../shared/data/shard-layout.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { OrderedRound } from "./sample-order.ts";
import type { MicrobatchInput } from "./trainer-contract.ts";

/** Zero pixels around an image before the random crop (He et al., "Deep residual learning", CVPR 2016, section 4.2). */
const CROP_PADDING = 4;

/** Bytes of shards by their SHA-256. */
export type HeldShards = ReadonlyMap<string, Uint8Array>;

export interface SampleDecoder {
  /** The shards that these samples lie in, each once. */
  shardsOf(split: Split, samples: Iterable<number>): readonly Shard[];
  /**
   * `image` f32 [n][h + 2·pad][w + 2·pad][c] and `label` u32 [n] of samples, in order.
   * @throws DATA_INVALID for a shard that is not held or a label that is not a class
   */
  decode(round: OrderedRound, samples: readonly number[], held: HeldShards): MicrobatchInput;
}

type DecoderConfig = Pick<RunConfig, "seed" | "data">;

/** Where the image lies in the output, and whether it is mirrored. */
interface Placement {
  /** Rows and columns that the image is moved down and to the right; negative cuts it. */
  readonly top: number;
  readonly left: number;
  readonly flip: boolean;
}

/** @throws DATA_INVALID for a data set whose manifest contradicts itself */
export function createSampleDecoder(config: DecoderConfig, dataset: Dataset): SampleDecoder {
  if (dataset.format.kind !== "raw") {
    throw new BitswarmError(
      "DATA_INVALID",
      `samples of ${dataset.name} are ${dataset.format.media}; this worker decodes raw pixels only: update it, or reload the page`,
    );
  }
  checkShards(dataset, "train");
  checkShards(dataset, "test");
  const { shape, classes } = dataset;
  const { pad, augment } = config.data;
  const height = shape.h + 2 * pad;
  const width = shape.w + 2 * pad;
  const imageSize = height * width * shape.c;
  const tables = normaliseTables(dataset);
  const blank = blankImage(tables, height * width);

  /** Drawn afresh for each sample from its own address, so a retried or re-leased range gets the same images. */
  const place = (round: OrderedRound, sample: number): Placement => {
    if (augment === "none" || round.kind === "evaluate") return { top: pad, left: pad, flip: false };
    const draws = rng(config.seed, "augment", round.kind, round.epoch, sample);
    const span = 2 * CROP_PADDING + 1;
    const top = pad + CROP_PADDING - draws.below(span);
    const left = pad + CROP_PADDING - draws.below(span);
    return { top, left, flip: draws.below(2) === 1 };
  };

  const drawImage = (into: Float32Array, pixels: Uint8Array, { top, left, flip }: Placement): void => {
    into.set(blank);
    const firstColumn = Math.max(0, -left);
    const columns = Math.min(shape.w, width - left) - firstColumn;
    const lastRow = Math.min(shape.h, height - top);
    const start = flip ? width - 1 - (firstColumn + left) : firstColumn + left;
    const step = flip ? -shape.c : shape.c;
    for (let y = Math.max(0, -top); y < lastRow; y++) {
      for (let c = 0; c < shape.c; c++) {
        const table = tables[c];
        let from = (y * shape.w + firstColumn) * shape.c + c;
        let to = ((y + top) * width + start) * shape.c + c;
        for (let x = 0; x < columns; x++) {
          into[to] = table[pixels[from]];
          from += shape.c;
          to += step;
        }
      }
    }
  };

  /** The rows of the shards that are held, each opened once. */
  const opener = (held: HeldShards) => {
    const opened = new Map<Shard, ShardRows>();
    return (shard: Shard): ShardRows => {
      const before = opened.get(shard);
      if (before) return before;
      const name = `shard ${shard.sha256.slice(0, 12)} of ${dataset.name}`;
      const bytes = held.get(shard.sha256);
      if (!bytes) throw new BitswarmError("DATA_INVALID", `${name} must be ${shard.bytes} bytes; got none`);
      const rows = readShard(dataset, bytes, shard.samples, name);
      opened.set(shard, rows);
      return rows;
    };
  };

  return {
    shardsOf(split, samples) {
      const wanted = new Set<Shard>();
      for (const sample of samples) wanted.add(dataset[split].shards[locateSample(dataset, split, sample).shard]);
      return [...wanted];
    },

    decode(round, samples, held) {
      const images = new Float32Array(samples.length * imageSize);
      const labels = new Uint32Array(samples.length);
      const rowsOf = opener(held);
      samples.forEach((sample, i) => {
        const at = locateSample(dataset, round.split, sample);
        const { content, target } = rowsOf(dataset[round.split].shards[at.shard])(at.row);
        drawImage(images.subarray(i * imageSize, (i + 1) * imageSize), content, place(round, sample));
        const label = labelOf(target);
        if (label >= classes) {
          throw new BitswarmError(
            "DATA_INVALID",
            `sample ${sample} of ${dataset.name}'s ${round.split} split has label ${label}; there are ${classes} classes`,
          );
        }
        labels[i] = label;
      });
      return { image: images, label: labels };
    },
  };
}

/** Samples are found by division, which only shards of one size allow. */
function checkShards(dataset: Dataset, split: Split): void {
  const { shards, samples } = dataset[split];
  const total = shards.reduce((sum, shard) => sum + shard.samples, 0);
  const each = shards[0].samples;
  const even = shards.every((shard, i) => (i < shards.length - 1 ? shard.samples === each : shard.samples <= each));
  if (total !== samples || !even) {
    throw new BitswarmError(
      "DATA_INVALID",
      `the ${split} split of ${dataset.name} announces ${samples} samples; its ${shards.length} shards hold ${total}, ${even ? "evenly" : "unevenly"}`,
    );
  }
}

/** (v/255 − mean)/std of each of the 256 values of a pixel, per channel: one look-up instead of two divisions. */
function normaliseTables(dataset: Pick<Dataset, "shape" | "mean" | "std" | "name">): readonly Float32Array[] {
  const { shape, mean, std } = dataset;
  if (mean.length !== shape.c || std.length !== shape.c) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${dataset.name} has ${shape.c} channels but ${mean.length} means and ${std.length} standard deviations`,
    );
  }
  return mean.map((m, c) => Float32Array.from({ length: 256 }, (_, value) => (value / 255 - m) / std[c]));
}

/** An image of zero pixels: what lies around the picture is black, which is −mean/std after normalising. */
function blankImage(tables: readonly Float32Array[], pixels: number): Float32Array {
  const blank = new Float32Array(pixels * tables.length);
  for (let i = 0; i < blank.length; i++) blank[i] = tables[i % tables.length][0];
  return blank;
}
