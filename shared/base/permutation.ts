// The order of an epoch: a keyed permutation of [0, size) of which any position can be computed without a list
// (Feistel network with cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
import { type RngPathElement, rng } from "./rng.ts";

/** A bijection of [0, size) onto itself. */
export interface Permutation {
  readonly size: number;
  /** The element at `position`, an integer in [0, size), else a RangeError. O(1) expected time, no memory. */
  at(position: number): number;
}

const rounds = 8;
const largestSize = 2 ** 52;

/** Finaliser of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit. */
function mix(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/**
 * The permutation of [0, size) at the address (seed, path); size is an integer from 1 to 2^52, else a RangeError.
 *
 * @example `permutation(samples, run.seed, "order", epoch).at(step * batch + i)`
 */
export function permutation(size: number, seed: RngPathElement, ...path: readonly RngPathElement[]): Permutation {
  if (!Number.isSafeInteger(size) || size < 1 || size > largestSize) {
    throw new RangeError(`permutation: size is an integer from 1 to 2^52, got ${size}`);
  }
  // The network permutes [0, 4^halfBits), the smallest such domain that holds [0, size): fewer than four walks on
  // average.
  let halfBits = 1;
  while (4 ** halfBits < size) halfBits++;
  const half = 2 ** halfBits;
  const mask = half - 1;
  const draws = rng(seed, "permutation", ...path);
  const keys = Int32Array.from({ length: rounds }, () => draws.uint32());

  const encipher = (value: number): number => {
    let left = Math.floor(value / half);
    let right = value % half;
    for (let round = 0; round < rounds; round++) {
      const next = left ^ (mix(right + keys[round]!) & mask);
      left = right;
      right = next;
    }
    return left * half + right;
  };

  return {
    size,
    at: (position) => {
      if (!Number.isInteger(position) || position < 0 || position >= size) {
        throw new RangeError(`permutation: position is an integer from 0 to ${size - 1}, got ${position}`);
      }
      let value = encipher(position);
      while (value >= size) value = encipher(value);
      return value;
    },
  };
}
