// Small integers in few bits, the same in every runtime and without a library: Golomb-Rice codes (Golomb 1966, Rice and
// Plaunt 1971) with a parameter for each block, as FLAC's residuals have (RFC 9639, section 9.2.7).
//
// A block begins with 5 bits k. 31 says that all its values are 0, and that is the block. Else each value v is ⌊v /
// 2^k⌋ as so many zeros and a one, then the k low bits of v; 20 zeros say that v follows in 32 bits. Bits fill 32-bit
// little-endian words from the lowest up.
import { BitswarmError } from "../base/errors.ts";

/** Values of a block; the last of a run may have fewer. */
export const RICE_BLOCK = 256;
const parameterBits = 5;
const zeros = 31;
const largestParameter = 30;
/** Zeros that announce a value in full, so that no value takes more than 52 bits. */
const longestRun = 20;
const runMask = 2 ** longestRun - 1;

export class RiceWriter {
  #words = new Uint32Array(1024);
  #length = 0;
  /** Bits of the word that is not full yet. */
  #pending = 0;
  #fill = 0;

  /** Writes the low `bits` (0 to 32) bits of a value that has no others. */
  put(value: number, bits: number): void {
    if (this.#length + 2 > this.#words.length) this.#grow(2);
    this.#put(value, bits);
  }

  #put(value: number, bits: number): void {
    this.#pending |= value << this.#fill;
    const fill = this.#fill + bits;
    if (fill < 32) {
      this.#fill = fill;
      return;
    }
    this.#words[this.#length++] = this.#pending;
    // A shift by 32 is one by 0.
    this.#pending = this.#fill === 0 ? 0 : value >>> (32 - this.#fill);
    this.#fill = fill - 32;
  }

  #grow(words: number): void {
    const larger = new Uint32Array(2 * (this.#words.length + words));
    larger.set(this.#words);
    this.#words = larger;
  }

  /** Writes `count` values (u32), at most RICE_BLOCK, as one block. */
  block(values: Uint32Array, count: number): void {
    const most = Math.ceil((parameterBits + count * (longestRun + 32)) / 32) + 2;
    if (this.#length + most > this.#words.length) this.#grow(most);
    const k = parameterOf(values, count);
    this.#put(k, parameterBits);
    if (k === zeros) return;
    for (let i = 0; i < count; i++) {
      const value = values[i]!;
      const quotient = value >>> k;
      if (quotient < longestRun) {
        this.#put(1 << quotient, quotient + 1);
        if (k > 0) this.#put(value & ((1 << k) - 1), k);
      } else {
        this.#put(0, longestRun);
        this.#put(value, 32);
      }
    }
  }

  /** Everything written, in whole words. */
  finish(): Uint8Array<ArrayBuffer> {
    const length = this.#length + (this.#fill > 0 ? 1 : 0);
    const words = this.#words.slice(0, length);
    if (this.#fill > 0) words[length - 1] = this.#pending;
    return new Uint8Array(words.buffer);
  }
}

/** The k that takes the fewest bits, of the two that are best for a geometric distribution of this mean. */
function parameterOf(values: Uint32Array, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values[i]!;
  if (sum === 0) return zeros;
  const upper = Math.min(largestParameter, Math.max(0, Math.floor(Math.log2(sum / count))));
  const lower = Math.max(0, upper - 1);
  return bitsAt(lower, values, count) <= bitsAt(upper, values, count) ? lower : upper;
}

function bitsAt(k: number, values: Uint32Array, count: number): number {
  let bits = 0;
  for (let i = 0; i < count; i++) {
    const quotient = values[i]! >>> k;
    bits += quotient < longestRun ? quotient + 1 + k : longestRun + 32;
  }
  return bits;
}

/**
 * Reads what a RiceWriter wrote. Each read checks the end, so that any bytes are read or refused with FRAME_CORRUPT.
 */
export class RiceReader {
  readonly #words: Uint32Array;
  readonly #bits: number;
  #at = 0;

  /** @throws FRAME_CORRUPT for bytes that are not whole words */
  constructor(bytes: Uint8Array) {
    if (bytes.length % 4 !== 0) throw corrupt(`${bytes.length} bytes are not whole words`);
    // Not slice(): that of Node's Buffer is a view.
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
    this.#words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
    this.#bits = 8 * bytes.length;
  }

  /** The next `bits` (0 to 32) bits as an unsigned number. */
  take(bits: number): number {
    if (bits === 0) return 0;
    if (this.#at + bits > this.#bits) throw corrupt(`it ends after ${this.#bits} bits, before what it announces`);
    const value = this.#peek();
    this.#at += bits;
    return bits === 32 ? value : (value & (2 ** bits - 1)) >>> 0;
  }

  /** 32 bits from here on; zeros beyond the end. */
  #peek(): number {
    const word = this.#at >>> 5;
    const shift = this.#at & 31;
    const low = this.#words[word] ?? 0;
    if (shift === 0) return low;
    return ((low >>> shift) | ((this.#words[word + 1] ?? 0) << (32 - shift))) >>> 0;
  }

  /** Reads one block of `count` values. */
  block(values: Uint32Array, count: number): void {
    const k = this.take(parameterBits);
    if (k === zeros) {
      values.fill(0, 0, count);
      return;
    }
    for (let i = 0; i < count; i++) {
      const ahead = this.#peek();
      if ((ahead & runMask) === 0) {
        this.take(longestRun);
        values[i] = this.take(32);
        continue;
      }
      const quotient = 31 - Math.clz32(ahead & -ahead);
      this.take(quotient + 1);
      values[i] = (quotient << k) | this.take(k);
    }
  }

  /** Must be called when everything due was read. @throws FRAME_CORRUPT where more than the last word's rest is left */
  finish(): void {
    const left = this.#bits - this.#at;
    if (left >= 32) throw corrupt(`${left} bits are left after everything that is due`);
  }
}

function corrupt(what: string): BitswarmError {
  return new BitswarmError("FRAME_CORRUPT", `Rice-coded bits: ${what}`);
}
