// One file of the IDX format of MNIST and its successors (LeCun, Cortes, Burges, "The MNIST database"): two zero bytes,
// the type of a value, the number of axes, big-endian sizes, then values. Packed or not: its first bytes say which.

import { open, readFile, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { type FileKind, fileKind, kindInWords, readHead } from "../../disk/file-kind.ts";

/** Largest unpacked file in bytes: a bomb ends here, 1.3 million 28×28 images do not. Unpacked files have no limit. */
export const unpackedLimitBytes = 2 ** 30;
/** Bytes of one read from the disk. */
const READ_BYTES = 2 ** 20;

/** Types of values by their code. */
const types: Readonly<Record<number, { readonly name: string; readonly bytes: number }>> = {
  8: { name: "u8", bytes: 1 },
  9: { name: "i8", bytes: 1 },
  11: { name: "i16", bytes: 2 },
  12: { name: "i32", bytes: 4 },
  13: { name: "f32", bytes: 4 },
  14: { name: "f64", bytes: 8 },
};

/** What a file of one kind must be. */
export interface IdxExpected {
  /** "images, 0x00000803 or 0x00000804" */
  readonly words: string;
  /** Names of the axes by the magics that are read: `0x803: ["images", "rows", "columns"]`. */
  readonly layouts: Readonly<Record<number, readonly string[]>>;
  /** Why another magic is there, where that can be told. */
  readonly other?: (magic: number) => string | undefined;
  /** What to do about a file that is none: nothing that could cost a person his data. */
  readonly advice: string;
}

export interface IdxFile {
  readonly path: string;
  /** As in the header: 0x0803 is u8 with three axes. */
  readonly magic: number;
  readonly sizes: readonly number[];
  /** Its values from the first on, in pieces of `itemBytes`; each piece may lie in the memory of the one before. */
  items(itemBytes: number): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

function invalid(path: string, what: string, advice: string, cause?: unknown): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${path}: ${what}; ${advice}`, { cause });
}

async function unpack(path: string, limitBytes: number, advice: string): Promise<Buffer> {
  const { size } = await stat(path);
  const over = (cause?: unknown) =>
    invalid(
      path,
      `${size} bytes unpack to more than ${limitBytes}`,
      "a file that is not packed is read piece by piece: gunzip it",
      cause,
    );
  if (size > limitBytes) throw over();
  const packed = await readFile(path);
  try {
    return await promisify(gunzip)(packed, { maxOutputLength: limitBytes });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw over(cause);
    throw invalid(
      path,
      `${packed.length} bytes are not a whole gzip file (${(cause as Error).message})`,
      advice,
      cause,
    );
  }
}

/** "0x00000803" */
export function magicText(magic: number): string {
  return `0x${magic.toString(16).padStart(8, "0")}`;
}

/** What comes in place of a file that was to be downloaded. */
const downloads: readonly FileKind[] = ["json", "lfs", "web-page", "xml"];

/** Bytes of one value. */
export function valueBytes(magic: number): number {
  return types[magic >>> 8].bytes;
}

/** "u8 with 3 axes"; nothing for what is no magic of the format. */
function layoutOf(magic: number): string | undefined {
  const type = types[magic >>> 8];
  const axes = magic & 0xff;
  return type && axes > 0 ? `${type.name} with ${axes} ${axes === 1 ? "axis" : "axes"}` : undefined;
}

/** The magic with what it means, for errors. */
export function magicInWords(magic: number): string {
  const layout = layoutOf(magic);
  return layout === undefined ? magicText(magic) : `${magicText(magic)}, ${layout}`;
}

function readHeader(path: string, head: Buffer, total: number, { words, layouts, other, advice }: IdxExpected) {
  if (total === 0) throw invalid(path, `is empty; expected ${words}`, advice);
  const magic = head.length < 4 ? -1 : head.readUInt32BE(0);
  if (magic < 0 || layoutOf(magic) === undefined) {
    const begins = `begins with 0x${head.toString("hex", 0, 4)}`;
    throw invalid(path, `${begins}, which is neither gzip nor IDX; expected ${words}`, advice);
  }
  const axes = layouts[magic];
  if (axes === undefined) {
    const why = other?.(magic);
    const what = `magic is ${magicInWords(magic)}${why === undefined ? "" : ` (${why})`}`;
    throw invalid(path, `${what}; expected ${words}`, advice);
  }
  const start = 4 + 4 * axes.length;
  if (head.length < start) throw invalid(path, `has ${total} bytes; its header alone takes ${start}`, advice);
  const sizes = axes.map((_, axis) => head.readUInt32BE(4 + 4 * axis));
  axes.forEach((axis, index) => {
    if (sizes[index] < 1) throw invalid(path, `${axis} is ${sizes[index]}; expected at least 1`, advice);
  });
  const wanted = start + sizes.reduce((a, b) => a * b, valueBytes(magic));
  if (total !== wanted) {
    const names = `${axes.join(" × ")} = ${sizes.join(" × ")}`;
    throw invalid(path, `${names} takes ${wanted} bytes; it has ${total}`, advice);
  }
  return { magic, start, sizes };
}

async function* piecesOf(path: string, start: number, total: number, itemBytes: number, advice: string) {
  const items = Math.max(1, Math.floor(READ_BYTES / itemBytes));
  const block = Buffer.alloc(items * itemBytes);
  const file = await open(path, "r");
  try {
    for (let at = start; at < total; ) {
      const wanted = Math.min(block.length, total - at);
      let filled = 0;
      while (filled < wanted) {
        const { bytesRead } = await file.read(block, filled, wanted - filled, at + filled);
        if (bytesRead === 0) throw invalid(path, `ends at byte ${at + filled}; it had ${total}`, advice);
        filled += bytesRead;
      }
      for (let i = 0; i < wanted; i += itemBytes) yield block.subarray(i, i + itemBytes);
      at += wanted;
    }
  } finally {
    await file.close();
  }
}

/**
 * Opens a file and reads its header.
 * @throws DATA_INVALID naming the file, what it is, and the field and value that are wrong
 */
export async function openIdxFile(
  path: string,
  expected: IdxExpected,
  limitBytes = unpackedLimitBytes,
): Promise<IdxFile> {
  const { words, advice } = expected;
  const info = await stat(path);
  if (!info.isFile()) throw invalid(path, `is no file; expected ${words}`, advice);
  const first = await readHead(path);
  const packed = fileKind(first) === "gzip";
  const bytes = packed ? await unpack(path, limitBytes, advice) : undefined;
  const head = bytes ?? first;
  const kind = fileKind(head);
  if (kind !== undefined) {
    const what = `${packed ? "unpacks to" : "is"} ${kindInWords(kind)}; expected ${words}`;
    throw invalid(
      path,
      what,
      downloads.includes(kind) ? "a download gave that in place of the file: get it again" : advice,
    );
  }
  const total = bytes?.length ?? info.size;
  const { magic, start, sizes } = readHeader(path, head, total, expected);
  return {
    path,
    magic,
    sizes,
    items: (itemBytes) =>
      bytes === undefined
        ? piecesOf(path, start, total, itemBytes, advice)
        : slicesOf(bytes.subarray(start), itemBytes),
  };
}

function* slicesOf(bytes: Uint8Array, itemBytes: number) {
  for (let at = 0; at < bytes.length; at += itemBytes) yield bytes.subarray(at, at + itemBytes);
}
