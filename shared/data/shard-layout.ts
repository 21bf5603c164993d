// The bytes of a shard, written by the coordinator's sharder and read by every worker's decoder.
//
// raw: pixels u8 [n][h][w][c], then labels u16 [n], little-endian. bytes: chunks of k samples, each padded to 16 bytes
// and readable alone: u32 offsets [k + 1] from the chunk's beginning, targets [k][targetBytes], then the contents.

import { BitswarmError } from "../base/errors.ts";
import { type Dataset, LABEL_BYTES, MAX_SHARD_BYTES, shardBytes } from "./dataset.ts";

const OFFSET_BYTES = 4;
/** Chunks begin at multiples of so many bytes. */
const CHUNK_ALIGNMENT = 16;

type Layout = Pick<Dataset, "format" | "shape">;

/** One sample's bytes. */
export interface SampleBytes {
  /** Pixels u8 [h][w][c], or what the format's media says. */
  readonly content: Uint8Array;
  /** A label as u16 little-endian, or what the task knows of the sample. */
  readonly target: Uint8Array;
}

/** Bytes of a target. */
export function targetBytes(format: Dataset["format"]): number {
  return format.kind === "raw" ? LABEL_BYTES : format.targetBytes;
}

/** The label that two bytes are. */
export function labelOf(target: Uint8Array): number {
  return target[0] | (target[1] << 8);
}

/** The sample in a row of a shard: views, not copies. */
export type ShardRows = (row: number) => SampleBytes;

/**
 * Opens a shard.
 * @param name of the shard, for errors
 * @throws DATA_INVALID for bytes that are not so many samples of this format
 */
export function readShard({ format, shape }: Layout, bytes: Uint8Array, samples: number, name: string): ShardRows {
  return format.kind === "raw" ? readRaw(shape, bytes, samples, name) : readChunks(format, bytes, samples, name);
}

function readRaw(shape: Dataset["shape"], bytes: Uint8Array, samples: number, name: string): ShardRows {
  const expected = shardBytes({ shape }, samples);
  if (bytes.length !== expected) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${name} must be ${expected} bytes for ${samples} samples; got ${bytes.length}`,
    );
  }
  const image = shape.h * shape.w * shape.c;
  const labels = samples * image;
  return (row) => ({
    content: bytes.subarray(row * image, (row + 1) * image),
    target: bytes.subarray(labels + LABEL_BYTES * row, labels + LABEL_BYTES * (row + 1)),
  });
}

type BytesFormat = Extract<Dataset["format"], { kind: "bytes" }>;

/** Bytes before a chunk's first content. */
function chunkHead({ targetBytes }: BytesFormat, samples: number): number {
  return OFFSET_BYTES * (samples + 1) + targetBytes * samples;
}

const aligned = (bytes: number): number => Math.ceil(bytes / CHUNK_ALIGNMENT) * CHUNK_ALIGNMENT;

function readChunks(format: BytesFormat, bytes: Uint8Array, samples: number, name: string): ShardRows {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begins: number[] = [];
  let at = 0;
  for (let first = 0; first < samples; first += format.chunk) {
    const count = Math.min(format.chunk, samples - first);
    const head = chunkHead(format, count);
    const what = `${name}: chunk ${begins.length} at byte ${at}`;
    if (at + head > bytes.length) {
      throw new BitswarmError(
        "DATA_INVALID",
        `${what} takes ${head} bytes before its contents; ${bytes.length - at} are left`,
      );
    }
    let before = head;
    for (let i = 0; i <= count; i++) {
      const offset = view.getUint32(at + OFFSET_BYTES * i, true);
      const right = i === 0 ? offset === head : offset >= before;
      if (!right || at + offset > bytes.length) {
        throw new BitswarmError(
          "DATA_INVALID",
          `${what}: offset ${i} is ${offset}; expected ${i === 0 ? head : `${before} to ${bytes.length - at}`}`,
        );
      }
      before = offset;
    }
    begins.push(at);
    at += aligned(before);
  }
  if (at !== bytes.length) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${name}: its ${begins.length} chunks take ${at} bytes; it has ${bytes.length}`,
    );
  }
  return (row) => {
    const begin = begins[Math.floor(row / format.chunk)];
    const i = row % format.chunk;
    const count = Math.min(format.chunk, samples - (row - i));
    const offset = (index: number) => begin + view.getUint32(begin + OFFSET_BYTES * index, true);
    const target = begin + OFFSET_BYTES * (count + 1) + format.targetBytes * i;
    return {
      content: bytes.subarray(offset(i), offset(i + 1)),
      target: bytes.subarray(target, target + format.targetBytes),
    };
  };
}

/** Puts samples into a shard, one after another; their bytes are copied. */
export interface ShardWriter {
  add(sample: SampleBytes): void;
  /** The shard. The writer is of no use after it. */
  take(): Uint8Array<ArrayBuffer>;
}

/**
 * @param samples that will be added
 * @throws RangeError from `take` where fewer were added, DATA_INVALID where a shard would be too large
 */
export function writeShard(layout: Layout, samples: number): ShardWriter {
  return layout.format.kind === "raw" ? writeRaw(layout.shape, samples) : writeChunks(layout.format, samples);
}

function writeRaw(shape: Dataset["shape"], samples: number): ShardWriter {
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
      return bytes;
    },
  };
}

function requireFull(added: number, samples: number): void {
  if (added !== samples) throw new RangeError(`a shard of ${samples} samples was given ${added}`);
}

function writeChunks(format: BytesFormat, samples: number): ShardWriter {
  const chunks: Uint8Array[] = [];
  let held: SampleBytes[] = [];
  let added = 0;
  let total = 0;
  let open = 0;
  const close = () => {
    if (held.length === 0) return;
    const head = chunkHead(format, held.length);
    const bytes = new Uint8Array(aligned(head + open));
    const view = new DataView(bytes.buffer);
    const targets = OFFSET_BYTES * (held.length + 1);
    let at = head;
    held.forEach(({ content, target }, i) => {
      view.setUint32(OFFSET_BYTES * i, at, true);
      bytes.set(target, targets + format.targetBytes * i);
      bytes.set(content, at);
      at += content.length;
    });
    view.setUint32(OFFSET_BYTES * held.length, at, true);
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
      const bytes = total + chunkHead(format, held.length) + open;
      if (bytes > MAX_SHARD_BYTES) {
        throw new BitswarmError(
          "DATA_INVALID",
          `${added} of a shard's ${samples} samples take ${bytes} bytes; a shard may have ${MAX_SHARD_BYTES}: encode the samples smaller`,
        );
      }
      if (held.length === format.chunk) close();
    },
    take() {
      requireFull(added, samples);
      close();
      const bytes = new Uint8Array(total);
      let at = 0;
      for (const chunk of chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
      return bytes;
    },
  };
}
