// The batches of CIFAR-10 and CIFAR-100, as files or in the archive that they come in, binary or as Python 2 pickles.

import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { type CifarFiles, interleave } from "../../data/importers/cifar.ts";
import { openBytes } from "../formats/byte-reader.ts";
import { MAX_PICKLE_BYTES, type Pickled, readPickle } from "../formats/pickle.ts";

const PIXELS = 3072;
/** Longest file with names of classes. */
export const MAX_NAMES_BYTES = 2 ** 16;

/** A file, or a member of an archive. */
export interface Batch {
  /** data_batch_1.bin */
  readonly name: string;
  /** The whole path of the file or archive. */
  readonly file: string;
  /** Of its first byte in the file, unpacked. */
  readonly begin: number;
  readonly bytes: number;
}

export interface CifarSample {
  readonly label: number;
  readonly content: Uint8Array<ArrayBuffer>;
}

function invalid({ file, name }: Batch, what: string, files: CifarFiles): BitswarmError {
  const where = path.basename(file) === name ? file : `${file}: ${name}`;
  return new BitswarmError("DATA_INVALID", `${where}: ${what}; get ${files.title} again and compare`);
}

export async function bytesOf({ file, begin, bytes }: Batch, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes > limit) throw new BitswarmError("DATA_INVALID", `${file} has ${bytes} bytes; the limit is ${limit}`);
  const reader = await openBytes(file, { from: begin });
  try {
    return await reader.read(bytes);
  } finally {
    await reader.close();
  }
}

/** Which of the label bytes of a record is the label. */
export type Used = 0 | 1;

/** Records of a binary batch. @throws DATA_INVALID where it does not consist of them */
export function recordsIn(batch: Batch, files: CifarFiles): number {
  const size = files.labels.length + PIXELS;
  if (batch.bytes === 0 || batch.bytes % size !== 0) {
    throw invalid(batch, `has ${batch.bytes} bytes, expected one or more whole records of ${size}`, files);
  }
  return batch.bytes / size;
}

function requireLabel(batch: Batch, files: CifarFiles, used: Used, label: unknown, at: number): number {
  const { name, classes } = files.labels[used];
  if (typeof label === "number" && label >= 0 && label < classes) return label;
  throw invalid(batch, `${name} of record ${at} is ${label}; ${files.title} has 0 to ${classes - 1}`, files);
}

async function* binaryRecords(batch: Batch, files: CifarFiles, used: Used, from: number): AsyncGenerator<CifarSample> {
  const labels = files.labels.length;
  const size = labels + PIXELS;
  const records = recordsIn(batch, files);
  const reader = await openBytes(batch.file, { from: batch.begin + from * size });
  try {
    for (let at = from; at < records; at++) {
      const record = await reader.read(size);
      if (record.length < size) throw invalid(batch, `ends in record ${at} of ${records}`, files);
      const content = new Uint8Array(PIXELS);
      interleave(record.subarray(labels), content);
      yield { label: requireLabel(batch, files, used, record[used], at), content };
    }
  } finally {
    await reader.close();
  }
}

async function* pickledRecords(batch: Batch, files: CifarFiles, used: Used, from: number): AsyncGenerator<CifarSample> {
  const pickle = readPickle(`${batch.file}: ${batch.name}`, await bytesOf(batch, MAX_PICKLE_BYTES));
  const key = files.labels.length === 1 ? "labels" : used === 0 ? "coarse_labels" : "fine_labels";
  const labels = pickle.get(key);
  const data = pickle.get("data");
  const isArray = typeof data === "object" && data !== null && "shape" in data;
  if (!Array.isArray(labels) || !isArray || data.shape.length !== 2 || data.shape[1] !== PIXELS) {
    throw invalid(batch, `has no ${key} and data u8 [n][${PIXELS}]`, files);
  }
  if (data.shape[0] !== labels.length)
    throw invalid(batch, `has ${labels.length} labels and ${data.shape[0]} pictures`, files);
  for (let at = from; at < labels.length; at++) {
    const content = new Uint8Array(PIXELS);
    interleave(data.bytes.subarray(at * PIXELS, (at + 1) * PIXELS), content);
    yield { label: requireLabel(batch, files, used, labels[at], at), content };
  }
}

/** The samples of a batch. @param from how many are passed over */
export function samplesOf(batch: Batch, files: CifarFiles, used: Used, from: number): AsyncGenerator<CifarSample> {
  return batch.name.endsWith(".bin")
    ? binaryRecords(batch, files, used, from)
    : pickledRecords(batch, files, used, from);
}

/** Names of classes: lines of text, or a list of a pickle under one of the keys. */
export async function namesOf(batch: Batch, key: string): Promise<readonly string[] | undefined> {
  const bytes = await bytesOf(batch, MAX_NAMES_BYTES);
  if (batch.name.endsWith(".txt")) {
    const lines = Buffer.from(bytes).toString("utf8").split(/\r?\n/);
    return lines.map((line) => line.trim()).filter((line) => line !== "");
  }
  const names: Pickled | undefined = readPickle(batch.file, bytes).get(key);
  return Array.isArray(names) ? names.map(String) : undefined;
}
