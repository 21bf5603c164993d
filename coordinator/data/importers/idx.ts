// MNIST and its successors: images and labels of two splits, in four files of the IDX format, as public homes,
// torchvision and unpackers name them.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { idx } from "../../../shared/data/data-kinds.ts";
import type { Split } from "../../../shared/data/dataset.ts";
import { setupText } from "../../base/command-text.ts";
import { type DataFiles, type FoundFiles, findDataFiles } from "./data-folder.ts";
import { type IdxExpected, type IdxFile, magicText, openIdxFile, valueBytes } from "./idx-file.ts";
import { defineImporter, type Sample, type SampleSource, type SplitSource } from "./importer.ts";

/** u8 [images][rows][columns], and u8 [images][rows][columns][channels]. */
const greyMagic = 0x803;
const colourMagic = 0x804;
/** u8 [labels]; i32 [labels]; and of QMNIST i32 [labels][columns], of which the first is the class. */
const labelMagics = { u8: 0x801, i32: 0xc01, i32Table: 0xc02 } as const;
/** Labels are u16. */
const MAX_LABEL = 0xffff;
/** Most labels of a file: they are held in memory. */
export const MOST_LABELS = 2 ** 26;
/** Most channels: an axis of more is no channel's. */
const MOST_CHANNELS = 16;

/** Names of the four files, as the public homes of MNIST and Fashion-MNIST have them. */
export const idxFiles = {
  train: { images: "train-images-idx3-ubyte.gz", labels: "train-labels-idx1-ubyte.gz" },
  test: { images: "t10k-images-idx3-ubyte.gz", labels: "t10k-labels-idx1-ubyte.gz" },
} as const satisfies Record<Split, { readonly images: string; readonly labels: string }>;

/** Names of one file: packed or not, with a dash or a dot, of MNIST or QMNIST. The first is the best known. */
function namesOf(splits: readonly string[], what: "images" | "labels"): [string, ...string[]] {
  const types = what === "images" ? ["idx3-ubyte", "idx4-ubyte"] : ["idx1-ubyte", "idx2-int"];
  const names = ["", "qmnist-"].flatMap((set) =>
    splits.flatMap((split) =>
      types.flatMap((type) =>
        ["-", "."].flatMap((mark) => [".gz", ""].map((packed) => `${set}${split}-${what}${mark}${type}${packed}`)),
      ),
    ),
  );
  return names as [string, ...string[]];
}

/** Each of the four by the names that it may have. */
export const idxNames: DataFiles["files"] = [
  namesOf(["train"], "images"),
  namesOf(["train"], "labels"),
  namesOf(["t10k", "test"], "images"),
  namesOf(["t10k", "test"], "labels"),
];

/** Where torchvision puts them, in the folder that it is given. */
export const idxInner = ["raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "QMNIST/raw"];

/** Files that are named like others of a family, such as EMNIST's six sets. */
export function idxHint(names: readonly string[]): string | undefined {
  const sets = names.flatMap((name) => /^(.+)-(?:train|test|t10k)-images[-.]idx/i.exec(name)?.[1] ?? []);
  if (sets.length === 0) return undefined;
  const all = [...new Set(sets)].join(", ");
  return `there are files of ${all}: put the four of one set into a folder of their own, without that in their names`;
}

const swapped = "are the files of images and labels named the wrong way round?";

function expectedImages(advice: string): IdxExpected {
  return {
    words: `images, ${magicText(greyMagic)} (u8 [images][rows][columns]) or ${magicText(colourMagic)} ([channels] last)`,
    layouts: {
      [greyMagic]: ["images", "rows", "columns"],
      [colourMagic]: ["images", "rows", "columns", "channels"],
    },
    other: (magic) => ((magic & 0xff) === 1 || magic === labelMagics.i32Table ? `labels: ${swapped}` : undefined),
    advice,
  };
}

function expectedLabels(advice: string): IdxExpected {
  return {
    words: `labels, ${magicText(labelMagics.u8)} (u8), ${magicText(labelMagics.i32)} (i32) or ${magicText(labelMagics.i32Table)} (i32, the class first)`,
    layouts: {
      [labelMagics.u8]: ["labels"],
      [labelMagics.i32]: ["labels"],
      [labelMagics.i32Table]: ["labels", "columns"],
    },
    other: (magic) => (magic === greyMagic || magic === colourMagic ? `images: ${swapped}` : undefined),
    advice,
  };
}

interface IdxImages extends SplitSource {
  readonly path: string;
  readonly shape: SampleSource["shape"];
}

/** @throws DATA_INVALID naming the file, the field and its value */
export async function openIdxImages(path: string, advice: string, limitBytes?: number) {
  const file = await openIdxFile(path, expectedImages(advice), limitBytes);
  const [samples, h, w, c = 1] = file.sizes;
  if (c > MOST_CHANNELS) {
    const planes = h <= MOST_CHANNELS ? " (is it [images][channels][rows][columns]? channels come last here)" : "";
    throw new BitswarmError(
      "DATA_INVALID",
      `${path}: channels is ${c}; the limit is ${MOST_CHANNELS}${planes}; ${advice}`,
    );
  }
  return { samples, shape: { h, w, c }, pixels: () => file.items(h * w * c) };
}

/** Labels of a file, all of them. @throws DATA_INVALID naming the file, the field and its value */
export async function readIdxLabels(path: string, advice: string, limitBytes?: number): Promise<Uint16Array> {
  const file: IdxFile = await openIdxFile(path, expectedLabels(advice), limitBytes);
  const [count, columns = 1] = file.sizes;
  if (count > MOST_LABELS) {
    throw new BitswarmError("DATA_INVALID", `${path}: has ${count} labels; the limit is ${MOST_LABELS}; ${advice}`);
  }
  const bytes = valueBytes(file.magic);
  const labels = new Uint16Array(count);
  let at = 0;
  for await (const row of file.items(bytes * columns)) {
    const label = bytes === 1 ? row[0] : (row[0] << 24) | (row[1] << 16) | (row[2] << 8) | row[3];
    if (label < 0 || label > MAX_LABEL) {
      throw new BitswarmError(
        "DATA_INVALID",
        `${path}: label ${at} is ${label}; expected 0 to ${MAX_LABEL}; ${advice}`,
      );
    }
    labels[at++] = label;
  }
  return labels;
}

/** What the files must agree with, where it is known. */
export interface IdxExpectation {
  readonly title: string;
  readonly side: number;
  readonly classes: number;
}

interface IdxSplit extends IdxImages {
  readonly largest: number;
}

async function openSplit(
  imagePath: string,
  labelPath: string,
  advice: string,
  known?: IdxExpectation,
): Promise<IdxSplit> {
  const { samples, shape, pixels } = await openIdxImages(imagePath, advice);
  const labels = await readIdxLabels(labelPath, advice);
  if (labels.length !== samples) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${labelPath}: has ${labels.length} labels, but ${imagePath} has ${samples} images; both must come from one data set`,
    );
  }
  if (known) {
    const { title, classes } = known;
    const beyond = labels.findIndex((label) => label >= classes);
    if (beyond >= 0) {
      throw new BitswarmError(
        "DATA_INVALID",
        `${labelPath}: label ${beyond} is ${labels[beyond]}; ${title} has classes 0 to ${classes - 1}`,
      );
    }
  }
  const read = async function* (): AsyncIterable<Sample> {
    let at = 0;
    for await (const content of pixels()) yield { content, target: labels[at++] };
  };
  const largest = labels.reduce((most, label) => Math.max(most, label), 0);
  return { samples, origin: `${imagePath}, ${labelPath}`, path: imagePath, shape, largest, read };
}

const shapeText = ({ h, w, c }: SampleSource["shape"]) => `${h}×${w}${c === 1 ? "" : `×${c}`}`;

function requireShape({ path, shape }: IdxSplit, expected: SampleSource["shape"]): void {
  if (shapeText(shape) === shapeText(expected)) return;
  throw new BitswarmError("DATA_INVALID", `${path}: images are ${shapeText(shape)}; expected ${shapeText(expected)}`);
}

/** What to do about a file that is broken: a person's own data are nowhere else, for all that is known here. */
function adviceFor({ folder, own }: FoundFiles): string {
  if (own) return "the file was left as it is: compare it with where it came from";
  if (folder.startsWith("/usr/")) return "reinstall the system's package of the data set";
  return `remove ${folder} and run \`${setupText()}\` again`;
}

/**
 * Opens the four files.
 * @param known what they must hold; their own headers and labels decide where it is not given
 */
export async function openIdxFiles(found: FoundFiles, known?: IdxExpectation): Promise<SampleSource> {
  const advice = adviceFor(found);
  const [trainImages, trainLabels, testImages, testLabels] = found.paths;
  const train = await openSplit(trainImages, trainLabels, advice, known);
  const test = await openSplit(testImages, testLabels, advice, known);
  const shape = known ? { h: known.side, w: known.side, c: 1 } : train.shape;
  requireShape(train, shape);
  requireShape(test, shape);
  const largest = Math.max(train.largest, test.largest);
  if (largest < 1) {
    throw new BitswarmError("DATA_INVALID", `${train.origin}: every label is ${largest}; expected at least 2 classes`);
  }
  return {
    format: { kind: "raw" },
    shape,
    classes: known?.classes ?? largest + 1,
    normalisation: "from-pixels",
    train,
    test,
  };
}

/** Anybody's data in four files of MNIST's format. */
export const idxImporter = defineImporter(idx, async (options, environment) =>
  openIdxFiles(
    await findDataFiles(options, environment, {
      title: "the data set",
      files: idxNames,
      inner: idxInner,
      usual: [],
      hint: idxHint,
    }),
  ),
);
