// From the files of a data set to content-addressed shards that workers can fetch and verify.

import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type Dataset, type Shard, type Split, shardBytes } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { contentHash } from "../disk/content-hash.ts";
import { type IdxImages, readIdxImages, readIdxLabels } from "./importers/idx.ts";

/** Samples of every shard but a split's last. */
export const shardSamples = 2048;

/** Names of the four files, as the public homes of MNIST and Fashion-MNIST have them. */
export const idxFiles = {
  train: { images: "train-images-idx3-ubyte.gz", labels: "train-labels-idx1-ubyte.gz" },
  test: { images: "t10k-images-idx3-ubyte.gz", labels: "t10k-labels-idx1-ubyte.gz" },
} as const satisfies Record<Split, { readonly images: string; readonly labels: string }>;

/** What Fashion-MNIST is known to be (Xiao, Rasul, Vollgraf 2017); mean and deviation are of its training pixels. */
const fashion = { side: 28, classes: 10, mean: 0.286, std: 0.353 } as const;

export interface OpenDataset {
  readonly dataset: Dataset;
  /** A shard's bytes by its SHA-256. */
  shard(sha256: string): Uint8Array | undefined;
}

interface LabelledImages {
  readonly images: IdxImages;
  /** u8 [samples], as many as images. */
  readonly labels: Uint8Array;
}

type DataConfig = RunConfig["data"];
type Environment = Readonly<Record<string, string | undefined>>;

const allFiles = Object.values(idxFiles).flatMap(({ images, labels }) => [images, labels]);

async function missingFrom(root: string): Promise<string[]> {
  const found = await Promise.all(
    allFiles.map((file) =>
      access(join(root, file)).then(
        () => [],
        () => [file],
      ),
    ),
  );
  return found.flat();
}

/** The folder with the four files. An explicit one must have them; of the usual places the first that has them counts. */
async function findRoot(config: DataConfig, environment: Environment): Promise<string> {
  const explicit = config.root ?? environment.BITSWARM_DATA;
  const source = config.root !== undefined ? "data.root" : "BITSWARM_DATA";
  if (explicit !== undefined) {
    const missing = await missingFrom(explicit);
    if (missing.length === 0) return explicit;
    const advice = config.kind === "fashion-mnist" ? ", or leave it out and run `npm run setup`" : "";
    throw new BitswarmError(
      "DATA_MISSING",
      `${source} is ${explicit}, which lacks ${missing.join(", ")}; point it at a folder with the files${advice}`,
    );
  }
  if (config.kind === "idx") {
    throw new BitswarmError(
      "DATA_MISSING",
      `data.kind is idx, and neither data.root nor BITSWARM_DATA says where ${allFiles.join(", ")} are: set data.root to their folder`,
    );
  }
  const usual = ["/usr/share/datasets/fashion-mnist", join(homedir(), ".cache", "bitswarm", "fashion-mnist")];
  for (const root of usual) if ((await missingFrom(root)).length === 0) return root;
  throw new BitswarmError(
    "DATA_MISSING",
    `Fashion-MNIST is in none of ${usual.join(", ")}: run \`npm run setup\`, which gets it, or set data.root to a folder with ${allFiles.join(", ")}`,
  );
}

async function readSplit(root: string, split: Split, limit: number): Promise<LabelledImages> {
  const imagePath = join(root, idxFiles[split].images);
  const labelPath = join(root, idxFiles[split].labels);
  const images = await readIdxImages(imagePath);
  const labels = await readIdxLabels(labelPath);
  if (labels.length !== images.samples) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${labelPath}: has ${labels.length} labels, but ${imagePath} has ${images.samples} images; both must come from one data set`,
    );
  }
  const samples = Math.min(limit, images.samples);
  const { h, w } = images;
  // Copies, so that the samples that are not used are not kept in memory.
  const used = { samples, h, w, pixels: Uint8Array.from(images.pixels.subarray(0, samples * h * w)) };
  return { images: used, labels: Uint8Array.from(labels.subarray(0, samples)) };
}

/** Mean and standard deviation of pixels scaled to [0,1]; exact integer sums, so the same on every machine. */
function pixelMoments(pixels: Uint8Array): { readonly mean: number; readonly std: number } {
  let sum = 0;
  let squares = 0;
  for (const pixel of pixels) {
    sum += pixel;
    squares += pixel * pixel;
  }
  const mean = sum / pixels.length;
  return { mean: mean / 255, std: Math.sqrt(Math.max(0, squares / pixels.length - mean * mean)) / 255 };
}

function describe(kind: DataConfig["kind"], train: LabelledImages, test: LabelledImages, root: string) {
  if (kind === "fashion-mnist") return { classes: fashion.classes, mean: [fashion.mean], std: [fashion.std] };
  const { mean, std } = pixelMoments(train.images.pixels);
  if (!(std > 0)) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${join(root, idxFiles.train.images)}: every pixel is ${mean * 255}; expected images`,
    );
  }
  const largest = [train, test].reduce((max, { labels }) => labels.reduce((a, b) => Math.max(a, b), max), 0);
  if (largest < 1) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${join(root, idxFiles.train.labels)}: every label is 0; expected at least 2 classes`,
    );
  }
  return { classes: largest + 1, mean: [mean], std: [std] };
}

function requireShape(
  config: DataConfig,
  root: string,
  split: Split,
  { images, labels }: LabelledImages,
  like: IdxImages,
): void {
  const side = config.kind === "fashion-mnist" ? { h: fashion.side, w: fashion.side } : like;
  if (images.h !== side.h || images.w !== side.w) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${join(root, idxFiles[split].images)}: images are ${images.h}×${images.w}; expected ${side.h}×${side.w}`,
    );
  }
  if (config.kind !== "fashion-mnist") return;
  const at = labels.findIndex((label) => label >= fashion.classes);
  if (at >= 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${join(root, idxFiles[split].labels)}: label ${at} is ${labels[at]}; Fashion-MNIST has classes 0 to ${fashion.classes - 1}`,
    );
  }
}

/** Cuts a split into shards: `samples` images of u8 [h][w][c], then as many u16 little-endian labels. */
function cut({ images, labels }: LabelledImages, keep: (bytes: Uint8Array) => string): Shard[] {
  const { h, w, samples, pixels } = images;
  const shards: Shard[] = [];
  for (let from = 0; from < samples; from += shardSamples) {
    const count = Math.min(shardSamples, samples - from);
    const bytes = new Uint8Array(shardBytes({ shape: { h, w, c: 1 } }, count));
    bytes.set(pixels.subarray(from * h * w, (from + count) * h * w));
    const view = new DataView(bytes.buffer, count * h * w);
    for (let i = 0; i < count; i++) view.setUint16(2 * i, labels[from + i], true);
    shards.push({ sha256: keep(bytes), samples: count, bytes: bytes.length });
  }
  return shards;
}

/**
 * Reads the data set of a run: its first `trainSamples` and `testSamples` images, all of them where there are fewer.
 * @param environment may hold BITSWARM_DATA, the folder of the files
 * @throws DATA_MISSING saying how to get it, DATA_INVALID naming file, field and value
 */
export async function openDataset(config: DataConfig, environment: Environment = process.env): Promise<OpenDataset> {
  const root = await findRoot(config, environment);
  const train = await readSplit(root, "train", config.trainSamples);
  const test = await readSplit(root, "test", config.testSamples);
  requireShape(config, root, "train", train, train.images);
  requireShape(config, root, "test", test, train.images);
  const shards = new Map<string, Uint8Array>();
  const keep = (bytes: Uint8Array): string => {
    const sha256 = contentHash(bytes);
    shards.set(sha256, bytes);
    return sha256;
  };
  const dataset: Dataset = {
    name: config.kind,
    format: { kind: "raw" },
    shape: { h: train.images.h, w: train.images.w, c: 1 },
    ...describe(config.kind, train, test, root),
    train: { samples: train.images.samples, shards: cut(train, keep) },
    test: { samples: test.images.samples, shards: cut(test, keep) },
  };
  return { dataset, shard: (sha256) => shards.get(sha256) };
}
