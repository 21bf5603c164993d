// CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009) from their binary
// files: records of one or two label bytes and 32×32 pixels as planes of red, green and blue.

import { open, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { cifar10, cifar100, type DataOptions } from "../../../shared/data/data-kinds.ts";
import { fileKind, kindInWords, readHead } from "../../disk/file-kind.ts";
import { type FoundFiles, findDataFiles } from "./data-folder.ts";
import { defineImporter, type Environment, type Sample, type SampleSource, type SplitSource } from "./importer.ts";

const side = 32;
const channels = 3;
const planeBytes = side * side;
const imageBytes = channels * planeBytes;
const HOME_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html";
/** Records of one read from the disk. */
const recordsAtOnce = 256;

export interface CifarFiles {
  readonly title: string;
  readonly archive: string;
  /** The folder that the archive unpacks to. */
  readonly folder: string;
  readonly train: readonly string[];
  readonly test: readonly string[];
  /** The label bytes of a record, in order, and the file of the archive that has the names of their classes. */
  readonly labels: readonly { readonly name: string; readonly classes: number; readonly names: string }[];
}

export const tenFiles: CifarFiles = {
  title: "CIFAR-10",
  archive: "cifar-10-binary.tar.gz",
  folder: "cifar-10-batches-bin",
  train: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`),
  test: ["test_batch.bin"],
  labels: [{ name: "label", classes: 10, names: "batches.meta.txt" }],
};

export const hundredFiles: CifarFiles = {
  title: "CIFAR-100",
  archive: "cifar-100-binary.tar.gz",
  folder: "cifar-100-binary",
  train: ["train.bin"],
  test: ["test.bin"],
  labels: [
    { name: "coarse label", classes: 20, names: "coarse_label_names.txt" },
    { name: "fine label", classes: 100, names: "fine_label_names.txt" },
  ],
};

/** Planes u8 [c][h][w] of a record to pixels u8 [h][w][c]. */
export function interleave(planes: Uint8Array, pixels: Uint8Array): void {
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < planeBytes; i++) pixels[i * channels + c] = planes[c * planeBytes + i];
  }
}

function invalid(path: string, what: string, { archive }: CifarFiles): BitswarmError {
  return new BitswarmError(
    "DATA_INVALID",
    `${path}: ${what}; the file was left as it is: unpack ${archive} into another folder and compare`,
  );
}

async function countRecords(path: string, files: CifarFiles): Promise<number> {
  const recordBytes = files.labels.length + imageBytes;
  const info = await stat(path);
  const expected = `expected one or more whole records of ${recordBytes}`;
  if (!info.isFile()) throw invalid(path, `is no file; ${expected}`, files);
  const { size } = info;
  if (size > 0 && size % recordBytes === 0) return size / recordBytes;
  const kind = fileKind(await readHead(path));
  const is = kind === undefined ? "" : ` and is ${kindInWords(kind)}`;
  const other = [tenFiles, hundredFiles].find((one) => one !== files && size % (one.labels.length + imageBytes) === 0);
  const perhaps =
    size > 0 && kind === undefined && other ? ` (${other.title}'s are ${other.labels.length + imageBytes})` : "";
  throw invalid(path, `has ${size} bytes${is}; ${expected}${perhaps}`, files);
}

/** What is in a folder that does not have the files: the archive, another version, the other data set. */
function hintFor(files: CifarFiles, names: readonly string[]): string | undefined {
  const { title, archive, train, test } = files;
  const has = (name: string) => names.some((one) => one.toLowerCase() === name);
  const python = `the python version of ${title}, whose pickles are not read: get ${archive} of ${HOME_PAGE}`;
  if (has(archive)) return `unpack ${archive} with \`tar xzf ${archive}\``;
  if (has(archive.replace("-binary", "-python"))) return `${archive.replace("-binary", "-python")} is ${python}`;
  if (names.some((name) => /^cifar-100?-(python|matlab)\.tar/i.test(name)))
    return `there is no binary version here: get ${archive} of ${HOME_PAGE}`;
  if ([...train, ...test].every((name) => has(name.replace(".bin", "")))) return `that is ${python}`;
  if ([...train, ...test].every((name) => has(name.replace(".bin", ".mat")))) {
    return `that is the Matlab version of ${title}: get ${archive} of ${HOME_PAGE}`;
  }
  const other = [tenFiles, hundredFiles].find((one) => one !== files && [...one.train, ...one.test].every(has));
  return other && `that is ${other.title}: set data.kind=${other === tenFiles ? "cifar-10" : "cifar-100"}`;
}

/** The records of one file. @param used which of the label bytes is the label */
async function* readRecords(path: string, records: number, files: CifarFiles, used: number): AsyncIterable<Sample> {
  const labelBytes = files.labels.length;
  const recordBytes = labelBytes + imageBytes;
  const block = new Uint8Array(recordsAtOnce * recordBytes);
  const pixels = new Uint8Array(imageBytes);
  const file = await open(path, "r");
  try {
    for (let first = 0; first < records; first += recordsAtOnce) {
      const count = Math.min(recordsAtOnce, records - first);
      let filled = 0;
      while (filled < count * recordBytes) {
        const { bytesRead } = await file.read(
          block,
          filled,
          count * recordBytes - filled,
          first * recordBytes + filled,
        );
        if (bytesRead === 0) throw invalid(path, `ends in record ${first + Math.floor(filled / recordBytes)}`, files);
        filled += bytesRead;
      }
      for (let i = 0; i < count; i++) {
        const record = block.subarray(i * recordBytes, (i + 1) * recordBytes);
        files.labels.forEach(({ name, classes }, at) => {
          if (record[at] < classes) return;
          const range = `${files.title} has 0 to ${classes - 1}`;
          throw invalid(path, `${name} of record ${first + i} is ${record[at]}; ${range}`, files);
        });
        interleave(record.subarray(labelBytes), pixels);
        yield { content: pixels, target: record[used] };
      }
    }
  } finally {
    await file.close();
  }
}

async function openSplit(paths: readonly string[], files: CifarFiles, used: number): Promise<SplitSource> {
  const records = await Promise.all(paths.map((path) => countRecords(path, files)));
  return {
    samples: records.reduce((sum, count) => sum + count, 0),
    origin: paths.join(", "),
    read: async function* () {
      for (const [i, path] of paths.entries()) yield* readRecords(path, records[i], files, used);
    },
  };
}

function findFiles(files: CifarFiles, options: DataOptions, environment: Environment): Promise<FoundFiles> {
  const { title, archive, train, test } = files;
  const cache = join(homedir(), ".cache", "bitswarm", options.kind);
  return findDataFiles(options, environment, {
    title,
    files: [...train, ...test].map((name): [string] => [name]),
    inner: [files.folder],
    usual: [`/usr/share/datasets/${options.kind}`, cache],
    advice: `unpack ${archive} of ${HOME_PAGE} in ${cache}`,
    hint: (names) => hintFor(files, names),
  });
}

async function openCifar(
  files: CifarFiles,
  used: number,
  options: DataOptions,
  environment: Environment,
): Promise<SampleSource> {
  const { train, labels } = files;
  const { paths } = await findFiles(files, options, environment);
  return {
    format: { kind: "raw" },
    shape: { h: side, w: side, c: channels },
    classes: labels[used].classes,
    normalisation: "from-pixels",
    train: await openSplit(paths.slice(0, train.length), files, used),
    test: await openSplit(paths.slice(train.length), files, used),
  };
}

/** Most bytes of a file of names: a hundred take one and a half thousand. */
const MOST_NAMES_BYTES = 65_536;

/** A name a line, from label 0 on, in the file that the archive has beside the images. */
async function readNames(
  files: CifarFiles,
  used: number,
  options: DataOptions,
  environment: Environment,
): Promise<readonly string[]> {
  const { names, classes } = files.labels[used];
  const { paths } = await findFiles(files, options, environment);
  const path = join(dirname(paths[0]), names);
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) throw new BitswarmError("DATA_MISSING", `${path} is not there; ${files.archive} has it`);
  if (info.size > MOST_NAMES_BYTES) {
    throw invalid(path, `has ${info.size} bytes; at most ${MOST_NAMES_BYTES} are read`, files);
  }
  const text = await readFile(path, "utf8");
  const read = text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
  if (read.length !== classes) throw invalid(path, `has ${read.length} names; expected ${classes}`, files);
  return read;
}

export const cifar10Importer = defineImporter(
  cifar10,
  (options, environment) => openCifar(tenFiles, 0, options, environment),
  (options, environment) => readNames(tenFiles, 0, options, environment),
);

const usedOf = ({ labels }: { readonly labels: "fine" | "coarse" }) => (labels === "coarse" ? 0 : 1);

export const cifar100Importer = defineImporter(
  cifar100,
  (options, environment) => openCifar(hundredFiles, usedOf(options), options, environment),
  (options, environment) => readNames(hundredFiles, usedOf(options), options, environment),
);
