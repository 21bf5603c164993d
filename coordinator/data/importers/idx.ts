// Reads the IDX format of MNIST and its successors (LeCun, Cortes, Burges, "The MNIST database"): big-endian header, then bytes.

import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { BitswarmError } from "../../../shared/base/errors.ts";

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

async function unpack(path: string): Promise<Buffer> {
  const packed = await readFile(path);
  try {
    return await promisify(gunzip)(packed, { maxOutputLength: unpackedLimitBytes });
  } catch (cause) {
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
export async function readIdxImages(path: string): Promise<IdxImages> {
  const bytes = await unpack(path);
  const [samples, h, w] = header(path, bytes, imageMagic, ["images", "rows", "columns"]);
  return { samples, h, w, pixels: bytes.subarray(16) };
}

/** Labels, u8 [samples]. @throws DATA_INVALID naming the file, the field and its value */
export async function readIdxLabels(path: string): Promise<Uint8Array> {
  const bytes = await unpack(path);
  header(path, bytes, labelMagic, ["labels"]);
  return bytes.subarray(8);
}
