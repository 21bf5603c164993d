// CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009) from their binary
// files: records of one or two label bytes and 32×32 pixels as planes of red, green and blue.

import { open, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { cifar10, cifar100, type DataOptions } from "../../../shared/data/data-kinds.ts";
import { findDataFolder } from "./data-folder.ts";
import { defineImporter, type Environment, type Sample, type SampleSource, type SplitSource } from "./importer.ts";

const side = 32;
const channels = 3;
const planeBytes = side * side;
const imageBytes = channels * planeBytes;
/** Records of one read from the disk. */
const recordsAtOnce = 256;

interface CifarFiles {
  readonly title: string;
  readonly archive: string;
  /** The folder that the archive unpacks to. */
  readonly folder: string;
  readonly train: readonly string[];
  readonly test: readonly string[];
  /** The label bytes of a record, in order. */
  readonly labels: readonly { readonly name: string; readonly classes: number }[];
}

const tenFiles: CifarFiles = {
  title: "CIFAR-10",
  archive: "cifar-10-binary.tar.gz",
  folder: "cifar-10-batches-bin",
  train: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`),
  test: ["test_batch.bin"],
  labels: [{ name: "label", classes: 10 }],
};

const hundredFiles: CifarFiles = {
  title: "CIFAR-100",
  archive: "cifar-100-binary.tar.gz",
  folder: "cifar-100-binary",
  train: ["train.bin"],
  test: ["test.bin"],
  labels: [
    { name: "coarse label", classes: 20 },
    { name: "fine label", classes: 100 },
  ],
};

/** Planes u8 [c][h][w] of a record to pixels u8 [h][w][c]. */
function interleave(planes: Uint8Array, pixels: Uint8Array): void {
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < planeBytes; i++) pixels[i * channels + c] = planes[c * planeBytes + i];
  }
}

function invalid(path: string, what: string, { archive }: CifarFiles): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${path}: ${what}; unpack ${archive} anew`);
}

async function countRecords(path: string, files: CifarFiles): Promise<number> {
  const recordBytes = files.labels.length + imageBytes;
  const { size } = await stat(path);
  if (size > 0 && size % recordBytes === 0) return size / recordBytes;
  throw invalid(path, `has ${size} bytes; expected one or more whole records of ${recordBytes}`, files);
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

async function openCifar(
  files: CifarFiles,
  used: number,
  options: DataOptions,
  environment: Environment,
): Promise<SampleSource> {
  const { title, archive, train, test, labels } = files;
  const cache = join(homedir(), ".cache", "bitswarm", options.kind);
  const folder = await findDataFolder(options, environment, {
    title,
    files: [...train, ...test],
    inner: [files.folder],
    usual: [`/usr/share/datasets/${options.kind}`, cache],
    advice: `unpack ${archive} of https://www.cs.toronto.edu/~kriz/cifar.html in ${cache}`,
  });
  const split = (names: readonly string[]) =>
    openSplit(
      names.map((name) => join(folder, name)),
      files,
      used,
    );
  return {
    format: { kind: "raw" },
    shape: { h: side, w: side, c: channels },
    classes: labels[used].classes,
    normalisation: "from-pixels",
    train: await split(train),
    test: await split(test),
  };
}

export const cifar10Importer = defineImporter(cifar10, (options, environment) =>
  openCifar(tenFiles, 0, options, environment),
);

export const cifar100Importer = defineImporter(cifar100, (options, environment) =>
  openCifar(hundredFiles, options.labels === "coarse" ? 0 : 1, options, environment),
);
