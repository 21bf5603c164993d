// A piece of long bytes on the bus: which of how many it is, of what, and the piece.

import { BitswarmError } from "../../shared/base/errors.ts";

/** A server takes messages of 1 MiB unless it is told otherwise; a quarter keeps what else travels from waiting. */
export const CHUNK_BYTES = 256 * 1024;
const HEAD_BYTES = 10;
const MOST_NAME_BYTES = 200;

export interface ChunkMessage {
  readonly name: string;
  readonly index: number;
  /** Of all pieces; 0 where the holder has nothing of that name. */
  readonly count: number;
  readonly piece: Uint8Array;
}

export function encodeChunk({ name, index, count, piece }: ChunkMessage): Uint8Array {
  const named = new TextEncoder().encode(name);
  if (named.length > MOST_NAME_BYTES)
    throw new RangeError(`a name of ${named.length} bytes; ${MOST_NAME_BYTES} at most`);
  const bytes = new Uint8Array(HEAD_BYTES + named.length + piece.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, index, true);
  view.setUint32(4, count, true);
  view.setUint16(8, named.length, true);
  bytes.set(named, HEAD_BYTES);
  bytes.set(piece, HEAD_BYTES + named.length);
  return bytes;
}

/** @throws MESSAGE_INVALID */
export function decodeChunk(bytes: Uint8Array): ChunkMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const named = bytes.length < HEAD_BYTES ? Number.POSITIVE_INFINITY : view.getUint16(8, true);
  if (named > MOST_NAME_BYTES || HEAD_BYTES + named > bytes.length || bytes.length > HEAD_BYTES + named + CHUNK_BYTES)
    throw new BitswarmError(
      "MESSAGE_INVALID",
      `a piece of ${bytes.length} bytes that no coordinator or gateway of this build writes: let all be of one build`,
    );
  return {
    name: new TextDecoder().decode(bytes.subarray(HEAD_BYTES, HEAD_BYTES + named)),
    index: view.getUint32(0, true),
    count: view.getUint32(4, true),
    piece: bytes.subarray(HEAD_BYTES + named),
  };
}
