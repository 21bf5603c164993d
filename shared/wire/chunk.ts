// One chunk of a frame that is too long for one message: 32 bytes of little-endian header, then at most 256 KiB of the
// frame (SPEC.md, T).

import { crc32c } from "../base/crc32c.ts";
import { BitswarmError } from "../base/errors.ts";
import { encodeText } from "../base/text.ts";
import { type HeadFormat, hasMagic, readHead, requireChecksum } from "./binary-head.ts";

/** Bytes of the frame in every chunk but the last. A frame of at most this many travels as one message. */
export const CHUNK_BYTES = 256 << 10;
export const chunkHeaderBytes = 32;
/** The longest WebSocket message that either side sends or reads, but for the welcome with its data set. */
export const MAX_CHUNK_MESSAGE_BYTES = CHUNK_BYTES + chunkHeaderBytes;

const chunkVersion = 1;

/** Offsets in the header, in bytes. 5 to 7 and 28 to 31 are 0 in this version. */
const offsets = {
  version: 4,
  reserved: 5,
  transfer: 8,
  totalBytes: 12,
  index: 16,
  chunkBytes: 20,
  crc32c: 24,
} as const;

const format: HeadFormat = {
  noun: "chunk",
  headerBytes: chunkHeaderBytes,
  magic: "BSWC",
  version: chunkVersion,
  versionOffset: offsets.version,
  crcOffset: offsets.crc32c,
};

export interface Chunk {
  /** u32: the sender's number of the transfer. */
  readonly transfer: number;
  /** u32: bytes of the whole frame. */
  readonly totalBytes: number;
  /** The payload is the frame's bytes from `index` · CHUNK_BYTES on. */
  readonly index: number;
  readonly payload: Uint8Array;
}

/** Whether bytes begin as a chunk does. Neither a frame ("BSWM") nor a msgpack map does. */
export function isChunk(bytes: Uint8Array): boolean {
  return hasMagic(bytes, format.magic);
}

/** Chunks of a frame of this many bytes, at least 1. */
export function chunkCount(totalBytes: number): number {
  return Math.max(1, Math.ceil(totalBytes / CHUNK_BYTES));
}

/** Bytes of the frame in chunk `index`. */
export function chunkLength(totalBytes: number, index: number): number {
  return Math.min(CHUNK_BYTES, totalBytes - index * CHUNK_BYTES);
}

/** The message with chunk `index` of `frame`. */
export function encodeChunk(transfer: number, frame: Uint8Array, index: number): Uint8Array<ArrayBuffer> {
  const from = index * CHUNK_BYTES;
  const length = chunkLength(frame.length, index);
  const bytes = new Uint8Array(chunkHeaderBytes + length);
  const view = new DataView(bytes.buffer);
  bytes.set(encodeText(format.magic));
  view.setUint8(offsets.version, chunkVersion);
  view.setUint32(offsets.transfer, transfer, true);
  view.setUint32(offsets.totalBytes, frame.length, true);
  view.setUint32(offsets.index, index, true);
  view.setUint32(offsets.chunkBytes, length, true);
  bytes.set(frame.subarray(from, from + length), chunkHeaderBytes);
  // The field itself is still zero here, as the definition of the CRC wants it.
  view.setUint32(offsets.crc32c, crc32c(bytes), true);
  return bytes;
}

/** Reads the chunk that `bytes` are. @throws FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH */
export function decodeChunk(bytes: Uint8Array): Chunk {
  const view = readHead(bytes, format);
  const payload = bytes.subarray(chunkHeaderBytes);
  const announcedBytes = view.getUint32(offsets.chunkBytes, true);
  if (announcedBytes !== payload.length) {
    const code = payload.length < announcedBytes ? "FRAME_TRUNCATED" : "FRAME_CORRUPT";
    throw new BitswarmError(code, `chunk announces ${announcedBytes} bytes, ${payload.length} came`);
  }
  requireChecksum(format, view, payload, "connect again, what arrived is kept");
  return {
    transfer: view.getUint32(offsets.transfer, true),
    totalBytes: view.getUint32(offsets.totalBytes, true),
    index: view.getUint32(offsets.index, true),
    payload,
  };
}
