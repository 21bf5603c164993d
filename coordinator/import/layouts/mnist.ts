// MNIST and its successors: pixels and labels in files of the IDX format, packed or not. EMNIST's pictures lie on their
// side, and its letters count from 1.

import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import { readIdxLabels } from "../../data/importers/idx.ts";
import { magicInWords } from "../../data/importers/idx-file.ts";
import { type ByteReader, openBytes } from "../formats/byte-reader.ts";
import { joinPath, some } from "./class-folders.ts";
import type { Cursor, Item, Layout, OpenSource, Recognition, SourceClass, SourceSplit } from "./layout.ts";
import { Listing } from "./listing.ts";
import { linesOf, readText, requireClasses } from "./wordnet.ts";

const advice = "the file was left as it is: compare it with where it came from";
/** Largest side and most channels of a picture: more is no size of one. */
export const MAX_SIDE = 4096;
export const MAX_CHANNELS = 16;
/** Where torchvision and others put the files. */
const inner = ["raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "QMNIST/raw", "EMNIST/raw", "gzip"];

/** The files of a set: a prefix tells it from others, such as `emnist-letters-`. */
interface IdxSet {
  readonly folder: string;
  readonly prefix: string;
  readonly files: Readonly<Record<string, string>>;
}

function setsIn(folder: string, files: readonly string[]): IdxSet[] {
  const byPrefix = new Map<string, Record<string, string>>();
  for (const file of files) {
    const [, prefix, split, what] =
      /^(.*?)(train|t10k|test)-(images|labels)[-.]idx\d-(?:ubyte|int)(?:\.gz)?$/i.exec(file) ?? [];
    if (split === undefined) continue;
    const key = `${split.toLowerCase() === "train" ? "train" : "test"}-${what.toLowerCase()}`;
    const set = byPrefix.get(prefix) ?? {};
    // A packed file beside the same unpacked: either will do.
    set[key] ??= joinPath(folder, file);
    byPrefix.set(prefix, set);
  }
  const sets = [...byPrefix].map(([prefix, set]) => ({ folder, prefix, files: set }));
  return sets.filter(({ files }) => files["train-images"] !== undefined || files["test-images"] !== undefined);
}

interface Found {
  readonly source: Listing;
  readonly sets: readonly IdxSet[];
}

async function find(given: Listing): Promise<Found | undefined> {
  if (given.single !== undefined) {
    // One file means the set that it is of.
    const [own] = setsIn("", given.single);
    if (own === undefined) return undefined;
    const source = await Listing.of(given.root);
    const sets = setsIn("", (await source.folder("")).files).filter(({ prefix }) => prefix === own.prefix);
    return { source, sets };
  }
  for (const folder of ["", ...inner]) {
    const sets = setsIn(folder, (await given.folder(folder)).files);
    if (sets.length > 0) return { source: given, sets };
  }
  return undefined;
}

interface Images {
  readonly count: number;
  readonly shape: { readonly h: number; readonly w: number; readonly c: number };
  /** Of the first pixel. */
  readonly begin: number;
}

function invalid(file: string, what: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${file}: ${what}; ${advice}`);
}

async function readHeader(reader: ByteReader): Promise<Images> {
  const { path: file } = reader;
  const head = Buffer.from(await reader.read(4));
  const magic = head.length === 4 ? head.readUInt32BE(0) : -1;
  if (magic !== 0x803 && magic !== 0x804) {
    const is = magic < 0 ? "ends in its header" : `begins with ${magicInWords(magic)}`;
    throw invalid(file, `${is}; expected images, 0x00000803 or 0x00000804`);
  }
  const axes = magic & 0xff;
  const sizes = Buffer.from(await reader.read(4 * axes));
  if (sizes.length < 4 * axes) throw invalid(file, "ends in its header");
  const [count, h, w, c = 1] = Array.from({ length: axes }, (_, i) => sizes.readUInt32BE(4 * i));
  if (count < 1 || h < 1 || w < 1 || c < 1 || h > MAX_SIDE || w > MAX_SIDE || c > MAX_CHANNELS) {
    throw invalid(
      file,
      `says ${count} pictures of ${h}×${w}×${c}; the limits are ${MAX_SIDE}×${MAX_SIDE}×${MAX_CHANNELS}`,
    );
  }
  const begin = 4 + 4 * axes;
  const wanted = begin + count * h * w * c;
  if (reader.end !== undefined && reader.end !== wanted) {
    throw invalid(file, `${count} pictures of ${h}×${w}×${c} take ${wanted} bytes; it has ${reader.end}`);
  }
  return { count, shape: { h, w, c }, begin };
}

/** Rows become columns: EMNIST's pictures are stored so. */
function transposed(pixels: Uint8Array, { h, w, c }: Images["shape"]): Uint8Array<ArrayBuffer> {
  const turned = new Uint8Array(pixels.length);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let k = 0; k < c; k++) turned[(x * h + y) * c + k] = pixels[(y * w + x) * c + k];
    }
  }
  return turned;
}

interface OpenSplit {
  readonly split: SourceSplit;
  readonly shape: Images["shape"];
  readonly largest: number;
  readonly smallest: number;
}

async function openSplit(source: Listing, set: IdxSet, name: "train" | "test"): Promise<OpenSplit> {
  const images = set.files[`${name}-images`];
  const labelFile = set.files[`${name}-labels`];
  if (images === undefined || labelFile === undefined) {
    const there = images ?? labelFile;
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.absolute(there)} is there without its ${images ? "labels" : "images"}: put both into one folder`,
    );
  }
  const file = source.absolute(images);
  const reader = await openBytes(file);
  const header = await readHeader(reader).finally(() => reader.close());
  const { count, shape, begin } = header;
  const labels = await readIdxLabels(source.absolute(labelFile), advice);
  if (labels.length !== count) {
    throw invalid(source.absolute(labelFile), `has ${labels.length} labels, and ${images} ${count} pictures`);
  }
  const turned = /emnist/i.test(set.prefix);
  const first = /emnist-letters/i.test(set.prefix) ? 1 : 0;
  const zero = first === 1 ? labels.indexOf(0) : -1;
  if (zero >= 0) throw invalid(source.absolute(labelFile), `label ${zero} is 0; EMNIST's letters count from 1`);
  const size = shape.h * shape.w * shape.c;
  const base = path.posix.basename(images);
  const split: SourceSplit = {
    samples: count,
    bytes: count * size,
    read: async function* (cursor?: Cursor): AsyncGenerator<Item> {
      const from = cursor === undefined ? 0 : Number(cursor);
      const pixels = await openBytes(file, { from: begin + from * size });
      try {
        for (let row = from; row < count; row++) {
          const read = await pixels.read(size);
          if (read.length < size) throw invalid(file, `ends in picture ${row} of ${count}`);
          const content = turned ? transposed(read, shape) : read;
          const sample = { name: `${base}#${row}`, label: labels[row] - first, content };
          yield { sample, cursor: String(row + 1), bytesRead: (row + 1) * size };
        }
        if ((await pixels.read(1)).length > 0) throw invalid(file, `has more than its ${count} pictures`);
      } finally {
        await pixels.close();
      }
    },
  };
  const bounds = labels.reduce(
    ([least, most], label) => [Math.min(least, label), Math.max(most, label)],
    [Infinity, 0],
  );
  return {
    split,
    shape: turned ? { h: shape.w, w: shape.h, c: shape.c } : shape,
    smallest: bounds[0] - first,
    largest: bounds[1] - first,
  };
}

/** EMNIST's mapping: a label, and the code of its character. */
async function namesOf(
  source: Listing,
  { folder, prefix }: IdxSet,
  first: number,
): Promise<ReadonlyMap<number, string>> {
  const file = `${prefix}mapping.txt`;
  if (prefix === "" || !(await source.folder(folder)).files.includes(file)) return new Map();
  return new Map(
    linesOf(await readText(source, joinPath(folder, file))).flatMap((line): [number, string][] => {
      const [label, code] = line.trim().split(/\s+/).map(Number);
      return code > 32 && code < 127 ? [[label - first, String.fromCharCode(code)]] : [];
    }),
  );
}

async function open({ source, sets }: Found): Promise<OpenSource> {
  const [set, other] = sets;
  if (other !== undefined) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.given} has files of several sets, ${some(sets.map(({ prefix }) => printable(prefix) || "without a prefix"))}: give the file of training images of the one that is meant`,
    );
  }
  if (set.files["train-images"] === undefined) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.given} has no training images: put train-images-idx3-ubyte.gz there`,
    );
  }
  const train = await openSplit(source, set, "train");
  const test = set.files["test-images"] === undefined ? undefined : await openSplit(source, set, "test");
  const { shape } = train;
  if (test !== undefined && (test.shape.h !== shape.h || test.shape.w !== shape.w || test.shape.c !== shape.c)) {
    throw invalid(
      source.absolute(set.files["test-images"]),
      `its pictures are of another size than ${shape.h}×${shape.w}×${shape.c}`,
    );
  }
  const count = Math.max(train.largest, test?.largest ?? 0) + 1;
  requireClasses(count, source.given);
  const letters = /emnist-letters/i.test(set.prefix);
  const names = await namesOf(source, set, letters ? 1 : 0);
  const classes: SourceClass[] = Array.from({ length: count }, (_, label) => ({
    name: names.get(label) ?? String(label),
  }));
  const notices: string[] = [];
  if (/emnist/i.test(set.prefix)) notices.push("EMNIST's pictures lie on their side: rows and columns are exchanged");
  if (letters) notices.push("EMNIST's letters count from 1: label 0 is the letter 1");
  if (train.smallest > 0) {
    notices.push(
      `the smallest label is ${train.smallest}: do the labels count from ${train.smallest}? Class 0 has no pictures`,
    );
  }
  return { classes, media: "pixels", shape, splits: { train: train.split, test: test?.split }, notices, left: [] };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const found = await find(source);
  if (found === undefined) return undefined;
  const files = found.sets.flatMap((set) => Object.values(set.files));
  return { strength: 3, why: `there are ${some(files)}`, open: () => open(found) };
}

export const mnist: Layout = {
  kind: "mnist",
  title: "MNIST's kind",
  files: "train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k, packed (.gz) or not",
  recognise,
};
