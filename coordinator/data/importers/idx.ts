// Reads the IDX format of MNIST and its successors (LeCun, Cortes, Burges, "The MNIST database"): big-endian header,
// then bytes.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { idx } from "../../../shared/data/data-kinds.ts";
import type { Split } from "../../../shared/data/dataset.ts";
import { findDataFolder } from "./data-folder.ts";
import { defineImporter, type Sample, type SampleSource, type SplitSource } from "./importer.ts";

/** Largest unpacked file in bytes: a bomb ends here, 1.3 million 28×28 images do not. */
export const unpackedLimitBytes = 2 ** 30;

const imageMagic = 0x0000_0803;
const labelMagic = 0x0000_0801;

export interface IdxImages {
  readonly samples: number;
  readonly h: number;
  readonly w: number;
  /** u8 [samples][h][w]. */
  readonly pixels: Uint8Array;
}

function invalid(path: string, what: string, cause?: unknown): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${path}: ${what}; remove the file and run \`npm run setup\` again`, {
    cause,
  });
}

async function unpack(path: string, limitBytes: number): Promise<Buffer> {
  const packed = await readFile(path);
  try {
    return await promisify(gunzip)(packed, { maxOutputLength: limitBytes });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw invalid(path, `${packed.length} bytes unpack to more than ${limitBytes}`, cause);
    }
    throw invalid(path, `${packed.length} bytes are not a whole gzip file (${(cause as Error).message})`, cause);
  }
}

function header(path: string, bytes: Buffer, magic: number, axes: readonly string[]): number[] {
  const length = 4 + 4 * axes.length;
  if (bytes.length < length) throw invalid(path, `has ${bytes.length} bytes; its header alone takes ${length}`);
  const actual = bytes.readUInt32BE(0);
  if (actual !== magic) {
    const show = (value: number) => `0x${value.toString(16).padStart(8, "0")}`;
    throw invalid(path, `magic is ${show(actual)}; expected ${show(magic)}, u8 [${axes.join("][")}]`);
  }
  const sizes = axes.map((_, axis) => bytes.readUInt32BE(4 + 4 * axis));
  axes.forEach((axis, index) => {
    if (sizes[index] < 1) throw invalid(path, `${axis} is ${sizes[index]}; expected at least 1`);
  });
  const expected = length + sizes.reduce((a, b) => a * b, 1);
  if (bytes.length !== expected) {
    throw invalid(path, `${axes.join(" × ")} = ${sizes.join(" × ")} takes ${expected} bytes; it has ${bytes.length}`);
  }
  return sizes;
}

/** @throws DATA_INVALID naming the file, the field and its value */
export async function readIdxImages(path: string, limitBytes = unpackedLimitBytes): Promise<IdxImages> {
  const bytes = await unpack(path, limitBytes);
  const [samples, h, w] = header(path, bytes, imageMagic, ["images", "rows", "columns"]);
  return { samples, h, w, pixels: bytes.subarray(16) };
}

/** Labels, u8 [samples]. @throws DATA_INVALID naming the file, the field and its value */
export async function readIdxLabels(path: string, limitBytes = unpackedLimitBytes): Promise<Uint8Array> {
  const bytes = await unpack(path, limitBytes);
  header(path, bytes, labelMagic, ["labels"]);
  return bytes.subarray(8);
}

/** Names of the four files, as the public homes of MNIST and Fashion-MNIST have them. */
export const idxFiles = {
  train: { images: "train-images-idx3-ubyte.gz", labels: "train-labels-idx1-ubyte.gz" },
  test: { images: "t10k-images-idx3-ubyte.gz", labels: "t10k-labels-idx1-ubyte.gz" },
} as const satisfies Record<Split, { readonly images: string; readonly labels: string }>;

export const allIdxFiles: readonly string[] = Object.values(idxFiles).flatMap(({ images, labels }) => [images, labels]);

/** What the files must agree with, where it is known. */
export interface IdxExpectation {
  readonly title: string;
  readonly side: number;
  readonly classes: number;
}

interface IdxSplit extends SplitSource {
  readonly h: number;
  readonly w: number;
}

async function openSplit(folder: string, split: Split): Promise<IdxSplit> {
  const imagePath = join(folder, idxFiles[split].images);
  const labelPath = join(folder, idxFiles[split].labels);
  const { samples, h, w, pixels } = await readIdxImages(imagePath);
  const labels = await readIdxLabels(labelPath);
  if (labels.length !== samples) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${labelPath}: has ${labels.length} labels, but ${imagePath} has ${samples} images; both must come from one data set`,
    );
  }
  const read = function* (): Iterable<Sample> {
    for (let i = 0; i < samples; i++) {
      yield { content: pixels.subarray(i * h * w, (i + 1) * h * w), target: labels[i] };
    }
  };
  return { samples, origin: `${imagePath}, ${labelPath}`, h, w, read };
}

function requireSide(folder: string, split: Split, { h, w }: IdxSplit, expected: Pick<IdxSplit, "h" | "w">): void {
  if (h === expected.h && w === expected.w) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${join(folder, idxFiles[split].images)}: images are ${h}×${w}; expected ${expected.h}×${expected.w}`,
  );
}

/** Refuses the labels of a data set that has fewer classes. */
function withClasses(folder: string, split: Split, source: IdxSplit, { title, classes }: IdxExpectation): SplitSource {
  const read = async function* (): AsyncIterable<Sample> {
    let at = 0;
    for await (const sample of source.read()) {
      if (Number(sample.target) >= classes) {
        throw new BitswarmError(
          "DATA_INVALID",
          `${join(folder, idxFiles[split].labels)}: label ${at} is ${sample.target}; ${title} has classes 0 to ${classes - 1}`,
        );
      }
      at++;
      yield sample;
    }
  };
  return { samples: source.samples, origin: source.origin, read };
}

/**
 * Opens the four files.
 * @param expected what they must hold; their own headers and labels decide where it is not given
 */
export async function openIdxFolder(folder: string, expected?: IdxExpectation): Promise<SampleSource> {
  const train = await openSplit(folder, "train");
  const test = await openSplit(folder, "test");
  const side = expected ? { h: expected.side, w: expected.side } : train;
  requireSide(folder, "train", train, side);
  requireSide(folder, "test", test, side);
  return {
    format: { kind: "raw" },
    shape: { h: train.h, w: train.w, c: 1 },
    classes: expected?.classes ?? "by-label",
    normalisation: "from-pixels",
    train: expected ? withClasses(folder, "train", train, expected) : train,
    test: expected ? withClasses(folder, "test", test, expected) : test,
  };
}

/** Anybody's data in four gzipped files of MNIST's format. */
export const idxImporter = defineImporter(idx, async (options, environment) =>
  openIdxFolder(await findDataFolder(options, environment, { title: "the data set", files: allIdxFiles, usual: [] })),
);
