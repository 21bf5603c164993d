// Tensors in files: reader and writer of the safetensors format (https://huggingface.co/docs/safetensors: u64 header
// length, JSON header, tensor bytes without gaps; little-endian, as every machine with WebGPU is, so typed arrays hold
// the same bytes).
import { BitswarmError } from "./errors.ts";
import { halfValue } from "./half.ts";
import { decodeText, encodeText } from "./text.ts";

/** Bytes of one element, by the format's name of its type. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  F32: 4,
  I32: 4,
  U32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type Dtype = keyof typeof dtypeBytes;

/** A tensor as it lies in a file: row-major little-endian elements, at any alignment. */
export interface SafeTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A tensor whose elements this reader does not know, such as F8_E4M3: there, and not to be read. */
export interface ForeignTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface Safetensors {
  /** Values that are no text, which the format forbids and some writers write, are here as JSON. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Of dtypes that are not known here, by name. */
  readonly foreign: ReadonlyMap<string, ForeignTensor>;
  /** In the order of their bytes; each tensor's bytes are a view of the file's. */
  readonly tensors: ReadonlyMap<string, SafeTensor>;
}

/** The format's own cap on a header, in bytes. */
export const headerLimitBytes = 100_000_000;

const lengthBytes = 8;
const metadataKey = "__metadata__";

/** By hand, as all of a header: it is read in browsers that run a network and hold nothing else. */
function readMetadata(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`${metadataKey} is ${Array.isArray(value) ? "a list" : String(value)}; expected a map of strings`);
  }
  const texts = Object.entries(value).map(([key, text]) => [key, typeof text === "string" ? text : jsonOf(key, text)]);
  return Object.fromEntries(texts);
}

function jsonOf(key: string, value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    // What is nested deeply enough can be read, and not written.
    throw invalid(`${metadataKey}.${key.slice(0, 80)} is no text, and nested too deeply to be made one`, cause);
  }
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const entryFields: readonly string[] = ["dtype", "shape", "data_offsets"];

function isLengths(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && one >= 0);
}

function readEntry(name: string, value: unknown): HeaderEntry {
  const refused = (what: string) => invalid(`tensor ${name}: entry${what}`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused(" is not an object");
  const { dtype, shape, data_offsets: offsets } = value as Readonly<Record<string, unknown>>;
  if (typeof dtype !== "string") throw refused(".dtype is not a name");
  if (!isLengths(shape)) throw refused(".shape is not a list of whole numbers from 0 on");
  if (!isLengths(offsets) || offsets.length !== 2) throw refused(".data_offsets is not two whole numbers from 0 on");
  const strange = Object.keys(value).find((key) => !entryFields.includes(key));
  if (strange !== undefined) throw refused(` has a field ${strange}, which is none of ${entryFields.join(", ")}`);
  return { dtype, shape, data_offsets: [offsets[0]!, offsets[1]!] };
}

function invalid(message: string, cause?: unknown): BitswarmError {
  return new BitswarmError("SAFETENSORS_INVALID", message, { cause });
}

function isDtype(name: string): name is Dtype {
  return Object.hasOwn(dtypeBytes, name);
}

function byteLength(name: string, dtype: Dtype, shape: readonly number[]): number {
  const bytes = shape.reduce((product, length) => product * length, dtypeBytes[dtype]);
  if (!Number.isSafeInteger(bytes)) throw invalid(`tensor ${name}: shape [${shape}] of ${dtype} is over 2^53 bytes`);
  return bytes;
}

function readHeader(bytes: Uint8Array): { readonly header: object; readonly dataStart: number } {
  if (bytes.length < lengthBytes) {
    throw invalid(`file of ${bytes.length} bytes: at least ${lengthBytes} are needed for the header's length`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, lengthBytes);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > headerLimitBytes) throw invalid(`header of ${length} bytes: the limit is ${headerLimitBytes}`);
  const dataStart = lengthBytes + length;
  if (dataStart > bytes.length) {
    throw invalid(`header ends at byte ${dataStart}, but the file has ${bytes.length}: it is truncated`);
  }
  let header: unknown;
  try {
    header = JSON.parse(decodeText(bytes.subarray(lengthBytes, dataStart)));
  } catch (cause) {
    throw invalid("header is not JSON in UTF-8", cause);
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) {
    throw invalid(`header is ${Array.isArray(header) ? "an array" : JSON.stringify(header)}, not a JSON object`);
  }
  return { header, dataStart };
}

/** Reads a whole file, copying nothing. Throws SAFETENSORS_INVALID where it breaks any rule of the format. */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  const { header, dataStart } = readHeader(bytes);
  let metadata: Readonly<Record<string, string>> = {};
  const foreign = new Map<string, ForeignTensor>();
  const found: { name: string; known?: Pick<SafeTensor, "dtype" | "shape">; from: number; to: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === metadataKey) {
      metadata = readMetadata(value);
      continue;
    }
    const { dtype, shape, data_offsets } = readEntry(name, value);
    const [from, to] = data_offsets;
    if (!isDtype(dtype)) {
      if (to < from) throw invalid(`tensor ${name}: its bytes end at ${to}, before they begin at ${from}`);
      foreign.set(name, { dtype, shape });
      found.push({ name, from, to });
      continue;
    }
    const expected = byteLength(name, dtype, shape);
    if (to - from !== expected) {
      throw invalid(`tensor ${name}: ${dtype} [${shape}] takes ${expected} bytes, offsets span ${to - from}`);
    }
    found.push({ name, known: { dtype, shape }, from, to });
  }
  found.sort((a, b) => a.from - b.from || a.to - b.to);
  const data = bytes.subarray(dataStart);
  const tensors = new Map<string, SafeTensor>();
  let end = 0;
  for (const { name, known, from, to } of found) {
    if (from !== end) {
      throw invalid(
        `tensor ${name}: starts at byte ${from}, but the one before ends at ${end}: gaps and overlaps are forbidden`,
      );
    }
    if (to > data.length) {
      throw invalid(`tensor ${name}: ends at byte ${to}, but there are ${data.length}: the file is truncated`);
    }
    if (known) tensors.set(name, { ...known, bytes: data.subarray(from, to) });
    end = to;
  }
  if (end !== data.length) throw invalid(`tensors end at byte ${end}, but there are ${data.length}`);
  return { metadata, tensors, foreign };
}

/**
 * The bytes of a file: tensors in the given order, metadata sorted by key, header padded with spaces to a multiple of
 * 8 bytes; equal contents give equal bytes. Throws SAFETENSORS_INVALID for a tensor whose bytes do not fit its shape.
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, SafeTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const names = new Set<string>([metadataKey]);
  // Joined by hand: an object would move names that look like integers to the front.
  const entries: string[] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) {
    const pairs = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`);
    entries.push(`"${metadataKey}":{${pairs.join(",")}}`);
  }
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    if (names.has(name)) throw invalid(`tensor ${name}: the name is taken`);
    names.add(name);
    const expected = byteLength(name, dtype, shape);
    if (bytes.length !== expected) {
      throw invalid(`tensor ${name}: ${dtype} [${shape}] takes ${expected} bytes, got ${bytes.length}`);
    }
    const offsets = `[${end},${end + bytes.length}]`;
    entries.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":${offsets}}`);
    parts.push(bytes);
    end += bytes.length;
  }
  const header = encodeText(`{${entries.join(",")}}`);
  const headerBytes = Math.ceil(header.length / 8) * 8;
  if (headerBytes > headerLimitBytes) {
    throw invalid(`header of ${headerBytes} bytes: the limit is ${headerLimitBytes}`);
  }
  const file = new Uint8Array(lengthBytes + headerBytes + end);
  new DataView(file.buffer).setUint32(0, headerBytes, true);
  file.fill(0x20, lengthBytes, lengthBytes + headerBytes);
  file.set(header, lengthBytes);
  let offset = lengthBytes + headerBytes;
  for (const part of parts) {
    file.set(part, offset);
    offset += part.length;
  }
  return file;
}

/** The tensor of `data`, whose bytes it shares; shape is row-major, in elements. */
export function tensorOf(
  data: Float32Array | Int32Array | Uint32Array | Uint8Array | Float64Array,
  shape: readonly number[],
): SafeTensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof Float32Array) return { dtype: "F32", shape, bytes };
  if (data instanceof Int32Array) return { dtype: "I32", shape, bytes };
  if (data instanceof Uint32Array) return { dtype: "U32", shape, bytes };
  if (data instanceof Float64Array) return { dtype: "F64", shape, bytes };
  return { dtype: "U8", shape, bytes };
}

/** A copy of the tensor's bytes at an address that any typed array accepts. */
function alignedBuffer(tensor: SafeTensor): ArrayBuffer {
  return new Uint8Array(tensor.bytes).buffer;
}

/**
 * A copy as float32; F16 and BF16 are widened exactly, F64 is rounded. Throws SAFETENSORS_INVALID for another dtype.
 */
export function float32Of(tensor: SafeTensor): Float32Array<ArrayBuffer> {
  const buffer = alignedBuffer(tensor);
  switch (tensor.dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return new Float32Array(new Float64Array(buffer));
    case "F16":
      return Float32Array.from(new Uint16Array(buffer), halfValue);
    case "BF16":
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    default:
      throw new BitswarmError(
        "SAFETENSORS_INVALID",
        `tensor of ${tensor.dtype} [${tensor.shape}]: expected one of F32, F64, F16, BF16`,
      );
  }
}

/** A copy as int32. Throws SAFETENSORS_INVALID for a dtype of fractions or an element outside of int32. */
export function int32Of(tensor: SafeTensor): Int32Array<ArrayBuffer> {
  const buffer = alignedBuffer(tensor);
  switch (tensor.dtype) {
    case "I32":
      return new Int32Array(buffer);
    case "U8":
    case "BOOL":
      return new Int32Array(new Uint8Array(buffer));
    case "I8":
      return new Int32Array(new Int8Array(buffer));
    case "I16":
      return new Int32Array(new Int16Array(buffer));
    case "U16":
      return new Int32Array(new Uint16Array(buffer));
    case "U32":
      return Int32Array.from(new Uint32Array(buffer), checkInt32);
    case "I64":
      return Int32Array.from(Array.from(new BigInt64Array(buffer), Number), checkInt32);
    case "U64":
      return Int32Array.from(Array.from(new BigUint64Array(buffer), Number), checkInt32);
    case "F16":
    case "BF16":
    case "F32":
    case "F64":
      throw new BitswarmError(
        "SAFETENSORS_INVALID",
        `tensor of ${tensor.dtype} [${tensor.shape}]: expected a dtype of integers`,
      );
    default:
      return tensor.dtype satisfies never;
  }
}

function checkInt32(value: number, index: number): number {
  if ((value | 0) !== value) {
    throw new BitswarmError("SAFETENSORS_INVALID", `element ${index} is ${value}: outside of int32`);
  }
  return value;
}
