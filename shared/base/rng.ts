// Every random draw of a run: a counter-based generator, so that any draw can be addressed without the ones before it
// (Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11).
import { sha256 } from "@noble/hashes/sha2.js";
import { encodeText } from "./text.ts";

/** One element of the address of a stream: what is drawn and for whom, e.g. `"augment", epoch, sample`. */
export type RngPathElement = string | number;

/** A stream of 2^66 draws of 32 bits. The methods that draw advance it; `at` does not. */
export interface Rng {
  /** An integer in [0, 2^32). */
  uint32(): number;
  /** A multiple of 2^-24 in [0, 1): exact in float32, so storing it as one never rounds it to 1. */
  uniform(): number;
  /**
   * A standard normal float32 (Box and Muller, 1958). Math.log, cos and sin are only required to be approximate, so an
   * engine may differ in the last bit of a double; rounding to float32 hides that in all but about one draw in 2^27.
   */
  normal(): number;
  /** An integer in [0, n), every one equally likely; n is an integer in [1, 2^32], else a RangeError. */
  below(n: number): number;
  /**
   * The `index`-th draw of the stream, counted from 0: what the call of uint32() after `index` others returns first.
   */
  at(index: number): number;
}

const twoTo32 = 0x1_0000_0000;

/** High word of the 64-bit product of two u32, in 16-bit halves: a double cannot hold the product. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Neither sum exceeds 2^32 - 1, so wrapping to 32 bits loses nothing.
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) >>> 0;
  const cross = (Math.imul(aLow, bHigh) + (middle & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) | 0;
}

/**
 * Philox4x32-10: writes the four words of block `counter` under `key` to `into[0..3]`. The constants are the paper's.
 * Arguments are 32-bit words.
 */
export function philox(
  into: Uint32Array,
  counter: readonly [number, number, number, number],
  key0: number,
  key1: number,
): void {
  let [c0, c1, c2, c3] = counter;
  let k0 = key0 | 0;
  let k1 = key1 | 0;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  into[0] = c0;
  into[1] = c1;
  into[2] = c2;
  into[3] = c3;
}

/** A tag, then 8 bytes of a number or the length and the UTF-8 of a string: no two addresses have the same bytes. */
function encodeAddress(address: readonly RngPathElement[]): Uint8Array {
  const bytes: number[] = [];
  const word = new DataView(new ArrayBuffer(8));
  const pushWord = () => {
    for (let i = 0; i < 8; i++) bytes.push(word.getUint8(i));
  };
  for (const element of address) {
    if (typeof element === "number") {
      if (!Number.isFinite(element)) throw new RangeError(`rng: path elements must be finite, got ${element}`);
      bytes.push(0);
      word.setFloat64(0, element + 0, true); // -0 + 0 is 0
      pushWord();
    } else {
      const text = encodeText(element);
      bytes.push(1);
      word.setFloat64(0, text.length, true);
      pushWord();
      for (const byte of text) bytes.push(byte);
    }
  }
  return Uint8Array.from(bytes);
}

/**
 * The stream at the address (seed, path). Its key is the first 64 bits of the SHA-256 of the address, so streams of
 * different addresses are independent, and 1 and "1" are different addresses.
 *
 * @example `rng(run.seed, "augment", epoch, sample).uniform()`
 */
export function rng(seed: RngPathElement, ...path: readonly RngPathElement[]): Rng {
  const digest = sha256(encodeAddress([seed, ...path]));
  const key = new DataView(digest.buffer, digest.byteOffset, 8);
  const key0 = key.getUint32(0, true);
  const key1 = key.getUint32(4, true);
  const block = new Uint32Array(4);
  let blockNumber = -1;
  let position = 0;
  let spare: number | undefined;

  const at = (index: number): number => {
    if (!Number.isSafeInteger(index) || index < 0) {
      throw new RangeError(`rng: an index is an integer from 0 to 2^53 - 1, got ${index}`);
    }
    const wanted = Math.floor(index / 4);
    if (wanted !== blockNumber) {
      philox(block, [wanted >>> 0, Math.floor(wanted / twoTo32), 0, 0], key0, key1);
      blockNumber = wanted;
    }
    return block[index % 4]!;
  };
  const uint32 = (): number => at(position++);

  return {
    at,
    uint32,
    uniform: () => (uint32() >>> 8) / 0x100_0000,
    normal: () => {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log((uint32() + 1) / twoTo32));
      const angle = (2 * Math.PI * uint32()) / twoTo32;
      spare = Math.fround(radius * Math.sin(angle));
      return Math.fround(radius * Math.cos(angle));
    },
    below: (n) => {
      if (!Number.isInteger(n) || n < 1 || n > twoTo32) {
        throw new RangeError(`rng: below(n) takes an integer from 1 to 2^32, got ${n}`);
      }
      const limit = twoTo32 - (twoTo32 % n);
      for (;;) {
        const draw = uint32();
        if (draw < limit) return draw % n;
      }
    },
  };
}
