// `int8`: a byte an element; a block of 64 of them shares a power of two, so that decoding is a shift and never rounds.

import { BitswarmError } from "../base/errors.ts";
import { exponentOf, powerOfTwo, roundToEven } from "../base/powers-of-two.ts";
import { blockSize, type Codec, plainUnit } from "./codec.ts";

/** Exponent of a block of zeros. */
const zeroBlock = -128;

/** The smallest exponent s with peak ≤ 127·2^s, of a positive double that is not subnormal. */
export function int8Exponent(peak: number): number {
  const exponent = exponentOf(peak);
  // 127·2^(e−6) is 1.98·2^e: s is e − 6 but for the top of the binade.
  return peak <= 127 * powerOfTwo(exponent - 6) ? exponent - 6 : exponent - 5;
}

const bytesOf = (elements: number) => elements / blockSize + elements;

/**
 * q = round(x / 2^s), ties to even, with s the smallest exponent ≥ −127 for which max|x| ≤ 127·2^s in the block of 64;
 * a block of zeros has s = −128. The error is at most 2^(s−1). All exponents come first.
 * @param values a multiple of 64 of them
 * @throws GRADIENT_NOT_FINITE
 */
export function encodeInt8(values: Float32Array): Uint8Array<ArrayBuffer> {
  if (values.length % blockSize !== 0) {
    throw new RangeError(`int8: size is a multiple of ${blockSize}, got ${values.length}`);
  }
  const payload = new Uint8Array(bytesOf(values.length));
  const blocks = values.length / blockSize;
  const exponents = new Int8Array(payload.buffer, 0, blocks);
  const quantized = new Int8Array(payload.buffer, blocks);
  for (let block = 0; block < blocks; block++) {
    const from = block * blockSize;
    let peak = 0;
    for (let i = from; i < from + blockSize; i++) {
      const magnitude = Math.abs(values[i]);
      if (!(magnitude < Infinity)) {
        throw new BitswarmError("GRADIENT_NOT_FINITE", `gradient: element ${i} of the arena is ${values[i]}`);
      }
      if (magnitude > peak) peak = magnitude;
    }
    if (peak === 0) {
      exponents[block] = zeroBlock;
      continue;
    }
    const scale = Math.max(int8Exponent(peak), zeroBlock + 1);
    const inverse = powerOfTwo(-scale);
    exponents[block] = scale;
    for (let i = from; i < from + blockSize; i++) quantized[i] = roundToEven(values[i] * inverse);
  }
  return payload;
}

export const int8: Codec = {
  kind: "int8",
  number: 2,
  accumulate: "float",
  exactSums: false,
  coding: {
    bytes: bytesOf,
    encode: (values) => ({ bytes: encodeInt8(values) }),
    read: (bytes, { elements, segments, exponents }) => {
      const blocks = elements / blockSize;
      return (i) => {
        const block = Math.floor(i / blockSize);
        const scale = bytes.getInt8(block);
        return scale === zeroBlock ? 0 : bytes.getInt8(blocks + i) * powerOfTwo(scale - exponents[segments[block]]);
      };
    },
    unit: plainUnit,
    errorFeedback: false,
  },
};
