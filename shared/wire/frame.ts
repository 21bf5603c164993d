// The one binary frame: 80 bytes of little-endian header, then the payload (SPEC.md lists the fields).

import { crc32c } from "../base/crc32c.ts";
import { BitswarmError } from "../base/errors.ts";
import { bytesToHex, hexToBytes } from "../base/hash.ts";
import { encodeText } from "../base/text.ts";
import { codecs } from "../codecs/codecs.ts";
import { type HeadFormat, hasMagic, readHead, requireChecksum } from "./binary-head.ts";

/** Value on the wire of each kind of frame. */
const kindValues = { parameters: 1, contribution: 2, "parameters-change": 3, partial: 4 } as const;

export type FrameKind = keyof typeof kindValues;

export const frameVersion = 2;
export const frameHeaderBytes = 80;

/** Offsets in the header, in bytes. Flags (u8 at 7) are 0 in this version. */
const offsets = {
  version: 4,
  kind: 5,
  codec: 6,
  flags: 7,
  round: 8,
  lease: 12,
  payloadBytes: 16,
  crc32c: 20,
  samples: 24,
  tensors: 28,
  run: 32,
  parametersHash: 48,
} as const;

export interface FrameHeader {
  readonly kind: FrameKind;
  /** Kind of a codec; `none` where parameters travel. */
  readonly codec: string;
  /** u32. */
  readonly round: number;
  /** u32. */
  readonly lease: number;
  /** u32: samples that a contribution sums. */
  readonly samples: number;
  /** u32: peak entries at the head of a contribution's payload. */
  readonly tensors: number;
  /** 16 bytes as 32 lower-case hex digits. */
  readonly run: string;
  /** SHA-256 as 64 lower-case hex digits. */
  readonly parametersHash: string;
}

export interface Frame {
  readonly header: FrameHeader;
  /** A view of the frame's bytes. */
  readonly payload: Uint8Array;
}

const format: HeadFormat = {
  noun: "frame",
  headerBytes: frameHeaderBytes,
  magic: "BSWM",
  version: frameVersion,
  versionOffset: offsets.version,
  crcOffset: offsets.crc32c,
};

/** Whether bytes begin as a frame does. A msgpack map never does: 0x42 is the integer 66. */
export function isFrame(bytes: Uint8Array): boolean {
  return hasMagic(bytes, format.magic);
}

/** The lease that a frame names, whose bytes nobody has checked yet; undefined where they are too few. */
export function frameLease(bytes: Uint8Array): number | undefined {
  if (bytes.length < frameHeaderBytes) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, frameHeaderBytes).getUint32(offsets.lease, true);
}

function requireU32(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`frame: ${name} is an integer from 0 to 2^32 - 1, got ${value}`);
  }
  return value;
}

function requireHex(name: string, hex: string, bytes: number): Uint8Array {
  if (hex.length !== bytes * 2) throw new RangeError(`frame: ${name} is ${bytes * 2} hex digits, got ${hex.length}`);
  return hexToBytes(hex);
}

/**
 * The bytes of a frame whose payload is `parts`, one after another. Throws a RangeError for a field that does not fit.
 */
export function encodeFrame(header: FrameHeader, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const payloadBytes = parts.reduce((sum, part) => sum + part.length, 0);
  requireU32("payloadBytes", payloadBytes);
  const bytes = new Uint8Array(frameHeaderBytes + payloadBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(encodeText(format.magic));
  view.setUint8(offsets.version, frameVersion);
  view.setUint8(offsets.kind, kindValues[header.kind]);
  view.setUint8(offsets.codec, header.codec === noCodec ? 0 : codecs.get(header.codec).number);
  view.setUint32(offsets.round, requireU32("round", header.round), true);
  view.setUint32(offsets.lease, requireU32("lease", header.lease), true);
  view.setUint32(offsets.payloadBytes, payloadBytes, true);
  view.setUint32(offsets.samples, requireU32("samples", header.samples), true);
  view.setUint32(offsets.tensors, requireU32("tensors", header.tensors), true);
  bytes.set(requireHex("run", header.run, 16), offsets.run);
  bytes.set(requireHex("parametersHash", header.parametersHash, 32), offsets.parametersHash);
  let offset = frameHeaderBytes;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  // The field itself is still zero here, as the definition of the CRC wants it.
  view.setUint32(offsets.crc32c, crc32c(bytes), true);
  return bytes;
}

function keyOf<K extends string>(values: Readonly<Record<K, number>>, value: number, name: string): K {
  for (const key in values) if (values[key] === value) return key;
  throw new BitswarmError("FRAME_CORRUPT", `frame: ${name} ${value} is unknown; known are ${listOf(values)}`);
}

/** A frame's word for 0 in the place of a codec: parameters travel without one. */
const noCodec = "none";

function codecKindOf(number: number): string {
  if (number === 0) return noCodec;
  const codec = codecs.numbered(number);
  if (codec) return codec.kind;
  // Integers among an object's keys come first, in ascending order.
  const known = Object.entries({
    0: noCodec,
    ...Object.fromEntries(codecs.entries.map((one) => [one.number, one.kind])),
  });
  const list = known.map(([value, kind]) => `${value} (${kind})`).join(", ");
  throw new BitswarmError("FRAME_CORRUPT", `frame: codec ${number} is unknown; known are ${list}`);
}

function listOf(values: Readonly<Record<string, number>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${value} (${key})`)
    .join(", ");
}

function hexAt({ buffer }: DataView<ArrayBuffer>, offset: number, bytes: number): string {
  return bytesToHex(new Uint8Array(buffer, offset, bytes));
}

/**
 * Reads the frame that `bytes` are, header and payload together at most `limitBytes`. Throws FRAME_TOO_LARGE,
 * FRAME_TRUNCATED, FRAME_CORRUPT (magic, length, CRC, flags, kind, codec) or PROTOCOL_MISMATCH (version).
 * @param checksum the CRC-32C of bytes behind those whose CRC is `seed`
 */
export function decodeFrame(bytes: Uint8Array, limitBytes: number, checksum: typeof crc32c = crc32c): Frame {
  if (bytes.length > limitBytes) {
    throw new BitswarmError("FRAME_TOO_LARGE", `frame of ${bytes.length} bytes: the limit is ${limitBytes}`);
  }
  const view = readHead(bytes, format);
  const expectedBytes = frameHeaderBytes + view.getUint32(offsets.payloadBytes, true);
  if (expectedBytes > limitBytes) {
    throw new BitswarmError("FRAME_TOO_LARGE", `frame announces ${expectedBytes} bytes: the limit is ${limitBytes}`);
  }
  if (bytes.length < expectedBytes) {
    throw new BitswarmError("FRAME_TRUNCATED", `frame announces ${expectedBytes} bytes, only ${bytes.length} came`);
  }
  if (bytes.length > expectedBytes) {
    throw new BitswarmError("FRAME_CORRUPT", `frame announces ${expectedBytes} bytes, but ${bytes.length} came`);
  }
  const payload = bytes.subarray(frameHeaderBytes);
  requireChecksum(format, view, payload, "nothing of it counts; ask for another lease", checksum);
  const flags = view.getUint8(offsets.flags);
  if (flags !== 0) throw new BitswarmError("FRAME_CORRUPT", `frame: flags are ${flags}, must be 0`);
  return {
    header: {
      kind: keyOf(kindValues, view.getUint8(offsets.kind), "kind"),
      codec: codecKindOf(view.getUint8(offsets.codec)),
      round: view.getUint32(offsets.round, true),
      lease: view.getUint32(offsets.lease, true),
      samples: view.getUint32(offsets.samples, true),
      tensors: view.getUint32(offsets.tensors, true),
      run: hexAt(view, offsets.run, 16),
      parametersHash: hexAt(view, offsets.parametersHash, 32),
    },
    payload,
  };
}
