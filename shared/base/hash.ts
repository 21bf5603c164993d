// Content addresses: SHA-256 as lower-case hex, from one audited implementation that runs in every runtime.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex as bytesToHexOfNoble, hexToBytes as hexToBytesOfNoble } from "@noble/hashes/utils.js";

/** SHA-256 of `bytes` as 64 lower-case hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return bytesToHexOfNoble(sha256(bytes));
}

/** Two lower-case hex digits a byte. */
export function bytesToHex(bytes: Uint8Array): string {
  return bytesToHexOfNoble(bytes);
}

/** The bytes of hex digits of either case. Throws a RangeError where they are not hex. */
export function hexToBytes(hex: string): Uint8Array<ArrayBuffer> {
  return hexToBytesOfNoble(hex);
}
