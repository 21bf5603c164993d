// The head of a binary message: what frames and chunks have in common, each with fields of its own (SPEC.md,
// Transport).

import { crc32c } from "../base/crc32c.ts";
import { BitswarmError } from "../base/errors.ts";
import { bytesToHex } from "../base/hash.ts";
import { encodeText } from "../base/text.ts";

/** How a kind of message begins. Offsets in bytes from its beginning. */
export interface HeadFormat {
  /** What messages call it. */
  readonly noun: string;
  readonly headerBytes: number;
  /** Four letters. */
  readonly magic: string;
  readonly version: number;
  readonly versionOffset: number;
  readonly crcOffset: number;
}

export function hasMagic(bytes: Uint8Array, magic: string): boolean {
  for (let i = 0; i < magic.length; i++) if (bytes[i] !== magic.charCodeAt(i)) return false;
  return true;
}

/**
 * A copy of the head, checked as far as it goes without the rest. @throws FRAME_TRUNCATED, FRAME_CORRUPT,
 * PROTOCOL_MISMATCH
 */
export function readHead(
  bytes: Uint8Array,
  { noun, headerBytes, magic, version, versionOffset }: HeadFormat,
): DataView<ArrayBuffer> {
  if (bytes.length < headerBytes) {
    throw new BitswarmError(
      "FRAME_TRUNCATED",
      `${noun} of ${bytes.length} bytes: its header alone takes ${headerBytes}`,
    );
  }
  if (!hasMagic(bytes, magic)) {
    const begins = bytesToHex(bytes.subarray(0, magic.length));
    throw new BitswarmError("FRAME_CORRUPT", `${noun} begins with ${begins}, not ${bytesToHex(encodeText(magic))}`);
  }
  // Not slice(): that of Node's Buffer is a view, and the CRC is zeroed later.
  const view = new DataView(new Uint8Array(bytes.subarray(0, headerBytes)).buffer);
  const theirs = view.getUint8(versionOffset);
  if (theirs === version) return view;
  throw new BitswarmError(
    "PROTOCOL_MISMATCH",
    `${noun} of version ${theirs}: this side speaks ${version}; reload the page or update the older side`,
  );
}

/**
 * Compares the CRC-32C that the head announces with that of the head, its field zero, and the payload; leaves the field
 * zero.
 * @param remedy what to do about a difference
 * @param checksum the CRC-32C of bytes behind those whose CRC is `seed`
 * @throws FRAME_CORRUPT
 */
export function requireChecksum(
  { noun, crcOffset }: HeadFormat,
  head: DataView<ArrayBuffer>,
  payload: Uint8Array,
  remedy: string,
  checksum: typeof crc32c = crc32c,
): void {
  const announced = head.getUint32(crcOffset, true);
  head.setUint32(crcOffset, 0, true);
  const actual = checksum(payload, checksum(new Uint8Array(head.buffer)));
  if (announced === actual) return;
  throw new BitswarmError(
    "FRAME_CORRUPT",
    `${noun} announces CRC-32C ${announced.toString(16)}, its bytes have ${actual.toString(16)}: ${remedy}`,
  );
}
