// The bytes of a shard, written by the coordinator's sharder and importers and read by every decoder of samples.
//
// raw: pixels u8 [n][h][w][c], then labels u16 [n], little-endian; named by the SHA-256 of all of it. bytes: an index
// (for each chunk where it begins, u32, and its SHA-256), then chunks of k samples, each readable alone: u32 offsets
// [k + 1] from the chunk's beginning, targets [k][targetBytes], then the contents; named by the SHA-256 of the index.
// The index and each chunk are padded with zeros to 16 bytes.

import { BitswarmError } from "../base/errors.ts";
import { bytesToHex, hexToBytes, sha256Hex } from "../base/hash.ts";
import {
  type BytesFormat,
  type Dataset,
  LABEL_BYTES,
  MAX_SHARD_BYTES,
  type SampleFormat,
  type Shard,
  shardBytes,
} from "./dataset.ts";

const OFFSET_BYTES = 4;
const HASH_BYTES = 32;
/** Of a chunk in the index. */
const ENTRY_BYTES = OFFSET_BYTES + HASH_BYTES;
/** The index and chunks end at multiples of so many bytes. */
const ALIGNMENT = 16;

type Layout = Pick<Dataset, "format" | "shape">;

/** One sample's bytes. */
export interface SampleBytes {
  /** Pixels u8 [h][w][c], or what the format's media says. */
  readonly content: Uint8Array;
  /** A label as u16 little-endian, or what the task knows of the sample. */
  readonly target: Uint8Array;
}

/** Bytes of a target. */
export function targetBytes(format: SampleFormat): number {
  return format.kind === "raw" ? LABEL_BYTES : format.targetBytes;
}

/** The label that two bytes are. */
export function labelOf(target: Uint8Array): number {
  return target[0] | (target[1] << 8);
}

/** The sample in a row of a shard or chunk: views, not copies. */
export type ShardRows = (row: number) => SampleBytes;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function invalid(message: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", message);
}

function requirePadding(bytes: Uint8Array, from: number, what: string): void {
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] !== 0) throw invalid(`${what}: byte ${at} of its padding is ${bytes[at]}; expected 0`);
  }
}

/** Chunks of a shard with this many samples; a raw shard is one. */
export function chunkCount(format: SampleFormat, samples: number): number {
  return format.kind === "raw" ? 1 : Math.ceil(samples / format.chunk);
}

/** Samples of a shard's chunk: only the last may have fewer than the others. */
export function samplesOfChunk({ chunk }: BytesFormat, samples: number, index: number): number {
  return Math.min(chunk, samples - index * chunk);
}

/** Bytes of the index that a shard begins with; a raw shard has none. */
export function indexBytes(format: SampleFormat, samples: number): number {
  return format.kind === "raw" ? 0 : aligned(ENTRY_BYTES * chunkCount(format, samples));
}

/** Bytes [begin, end) of a shard, and what they hash to. */
export interface ChunkPlace {
  readonly begin: number;
  readonly end: number;
  readonly sha256: string;
}

/** Where the chunks of a shard lie. */
export interface ShardIndex {
  readonly chunks: number;
  chunk(index: number): ChunkPlace;
}

/**
 * Reads a shard's index. That it hashes to the shard's name is for the caller to see first.
 * @param bytes the index alone
 * @param name of the shard, for errors
 * @throws DATA_INVALID for bytes that are no index of such a shard
 */
export function readIndex(
  format: BytesFormat,
  shard: Pick<Shard, "samples" | "bytes">,
  bytes: Uint8Array,
  name: string,
): ShardIndex {
  const expected = indexBytes(format, shard.samples);
  if (bytes.length !== expected) {
    throw invalid(`${name}: its index must be ${expected} bytes for ${shard.samples} samples; got ${bytes.length}`);
  }
  const chunks = chunkCount(format, shard.samples);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const beginOf = (index: number) => (index === chunks ? shard.bytes : view.getUint32(ENTRY_BYTES * index, true));
  let least = expected;
  for (let index = 0; index <= chunks; index++) {
    const begin = beginOf(index);
    const what = index === chunks ? "the shard's end" : `the beginning of chunk ${index}`;
    if (begin % ALIGNMENT !== 0 || begin < least || (index === 0 && begin !== least)) {
      const where = index === 0 ? `${least}` : `a multiple of ${ALIGNMENT} from ${least} on`;
      throw invalid(`${name}: ${what} is ${begin}; expected ${where}`);
    }
    if (index < chunks) least = begin + aligned(chunkHead(format, samplesOfChunk(format, shard.samples, index)));
  }
  requirePadding(bytes, ENTRY_BYTES * chunks, `${name}: its index`);
  return {
    chunks,
    chunk(index) {
      if (index < 0 || index >= chunks) throw new RangeError(`${name} has ${chunks} chunks; asked for ${index}`);
      const hash = ENTRY_BYTES * index + OFFSET_BYTES;
      return {
        begin: beginOf(index),
        end: beginOf(index + 1),
        sha256: bytesToHex(bytes.subarray(hash, hash + HASH_BYTES)),
      };
    },
  };
}

/** Bytes before a chunk's first content. */
function chunkHead({ targetBytes }: BytesFormat, samples: number): number {
  return OFFSET_BYTES * (samples + 1) + targetBytes * samples;
}

/**
 * Opens a chunk. That it hashes to what the index says is for the caller to see first.
 * @param bytes the chunk with its padding
 * @param name of the chunk, for errors
 * @throws DATA_INVALID for bytes that are no chunk of so many samples
 */
export function readChunk(format: BytesFormat, bytes: Uint8Array, samples: number, name: string): ShardRows {
  const head = chunkHead(format, samples);
  if (head > bytes.length) throw invalid(`${name} takes ${head} bytes before its contents; it has ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offset = (index: number) => view.getUint32(OFFSET_BYTES * index, true);
  let before = head;
  for (let i = 0; i <= samples; i++) {
    const at = offset(i);
    const right = i === 0 ? at === head : at >= before && at <= bytes.length;
    if (!right) {
      throw invalid(`${name}: offset ${i} is ${at}; expected ${i === 0 ? head : `${before} to ${bytes.length}`}`);
    }
    before = at;
  }
  if (aligned(before) !== bytes.length) {
    throw invalid(`${name}: its contents end at byte ${before} of ${bytes.length}; expected ${aligned(before)} bytes`);
  }
  requirePadding(bytes, before, name);
  const targets = OFFSET_BYTES * (samples + 1);
  return (row) => ({
    content: bytes.subarray(offset(row), offset(row + 1)),
    target: bytes.subarray(targets + format.targetBytes * row, targets + format.targetBytes * (row + 1)),
  });
}

/**
 * Opens a whole shard; what its chunks hash to is not looked at.
 * @param name of the shard, for errors
 * @throws DATA_INVALID for bytes that are not so many samples of this format
 */
export function readShard({ format, shape }: Layout, bytes: Uint8Array, samples: number, name: string): ShardRows {
  if (format.kind === "raw") return readRaw(shape, bytes, samples, name);
  const head = indexBytes(format, samples);
  const index = readIndex(format, { samples, bytes: bytes.length }, bytes.subarray(0, head), name);
  const chunks = Array.from({ length: index.chunks }, (_, i) => {
    const { begin, end } = index.chunk(i);
    const count = samplesOfChunk(format, samples, i);
    return readChunk(format, bytes.subarray(begin, end), count, `${name}: chunk ${i} at byte ${begin}`);
  });
  return (row) => chunks[Math.floor(row / format.chunk)](row % format.chunk);
}

function readRaw(shape: Dataset["shape"], bytes: Uint8Array, samples: number, name: string): ShardRows {
  const expected = shardBytes({ shape }, samples);
  if (bytes.length !== expected) {
    throw invalid(`${name} must be ${expected} bytes for ${samples} samples; got ${bytes.length}`);
  }
  const image = shape.h * shape.w * shape.c;
  const labels = samples * image;
  return (row) => ({
    content: bytes.subarray(row * image, (row + 1) * image),
    target: bytes.subarray(labels + LABEL_BYTES * row, labels + LABEL_BYTES * (row + 1)),
  });
}

/** The bytes of a chunk, with its padding. */
export function writeChunk(format: BytesFormat, samples: readonly SampleBytes[]): Uint8Array<ArrayBuffer> {
  const head = chunkHead(format, samples.length);
  const bytes = new Uint8Array(aligned(samples.reduce((sum, { content }) => sum + content.length, head)));
  const view = new DataView(bytes.buffer);
  const targets = OFFSET_BYTES * (samples.length + 1);
  let at = head;
  samples.forEach(({ content, target }, i) => {
    view.setUint32(OFFSET_BYTES * i, at, true);
    bytes.set(target, targets + format.targetBytes * i);
    bytes.set(content, at);
    at += content.length;
  });
  view.setUint32(OFFSET_BYTES * samples.length, at, true);
  return bytes;
}

/** The index of a shard of these chunks, in order, with its padding. */
export function writeIndex(chunks: readonly { readonly bytes: number; readonly sha256: string }[]): Uint8Array {
  const index = new Uint8Array(aligned(ENTRY_BYTES * chunks.length));
  const view = new DataView(index.buffer);
  let begin = index.length;
  chunks.forEach(({ bytes, sha256 }, i) => {
    view.setUint32(ENTRY_BYTES * i, begin, true);
    index.set(hexToBytes(sha256), ENTRY_BYTES * i + OFFSET_BYTES);
    begin += bytes;
  });
  return index;
}

export interface WrittenShard {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The shard's name: of the whole of a raw shard, of the index of another. */
  readonly sha256: string;
  /** What it begins with; empty for a raw shard. */
  readonly index: Uint8Array;
}

/** Puts samples into a shard, one after another; their bytes are copied. */
export interface ShardWriter {
  add(sample: SampleBytes): void;
  /** The shard. The writer is of no use after it. */
  take(): WrittenShard;
}

/** SHA-256 as hex. */
type Hash = (bytes: Uint8Array) => string;

/**
 * @param samples that will be added
 * @param hash a faster one where the platform has it
 * @throws RangeError from `take` where fewer were added, DATA_INVALID where a shard would be too large
 */
export function writeShard({ format, shape }: Layout, samples: number, hash: Hash = sha256Hex): ShardWriter {
  return format.kind === "raw" ? writeRaw(shape, samples, hash) : writeChunks(format, samples, hash);
}

function writeRaw(shape: Dataset["shape"], samples: number, hash: Hash): ShardWriter {
  const bytes = new Uint8Array(shardBytes({ shape }, samples));
  const image = shape.h * shape.w * shape.c;
  let row = 0;
  return {
    add({ content, target }) {
      bytes.set(content, row * image);
      bytes.set(target, samples * image + LABEL_BYTES * row);
      row++;
    },
    take() {
      requireFull(row, samples);
      return { bytes, sha256: hash(bytes), index: bytes.subarray(0, 0) };
    },
  };
}

function requireFull(added: number, samples: number): void {
  if (added !== samples) throw new RangeError(`a shard of ${samples} samples was given ${added}`);
}

function writeChunks(format: BytesFormat, samples: number, hash: Hash): ShardWriter {
  const chunks: Uint8Array[] = [];
  let held: SampleBytes[] = [];
  let added = 0;
  let total = indexBytes(format, samples);
  let open = 0;
  const close = () => {
    if (held.length === 0) return;
    const bytes = writeChunk(format, held);
    chunks.push(bytes);
    total += bytes.length;
    held = [];
    open = 0;
  };
  return {
    add({ content, target }) {
      held.push({ content: content.slice(), target: target.slice() });
      added++;
      open += content.length;
      const bytes = total + aligned(chunkHead(format, held.length) + open);
      if (bytes > MAX_SHARD_BYTES) {
        throw invalid(
          `${added} of a shard's ${samples} samples take ${bytes} bytes; a shard may have ${MAX_SHARD_BYTES}: encode the samples smaller`,
        );
      }
      if (held.length === format.chunk) close();
    },
    take() {
      requireFull(added, samples);
      close();
      const index = writeIndex(chunks.map((chunk) => ({ bytes: chunk.length, sha256: hash(chunk) })));
      const bytes = new Uint8Array(total);
      let at = 0;
      for (const part of [index, ...chunks]) {
        bytes.set(part, at);
        at += part.length;
      }
      return { bytes, sha256: hash(index), index };
    },
  };
}
