// `f16`: IEEE 754 half floats by their bits, two bytes an element, in multiples of the tensor's unit, so that a
// gradient of any size meets the format's range.

import { BitswarmError } from "../base/errors.ts";
import { halfBits, halfValue, LARGEST_HALF } from "../base/half.ts";
import { powerOfTwo } from "../base/powers-of-two.ts";
import { blockSize, type Codec, plainUnit } from "./codec.ts";

/**
 * A half float of 1 stands for 2^14 units: 65,504 of them are just below the clip of 2^30 units, the smallest is 2^-10
 * of one.
 */
const f16UnitBits = 14;

/**
 * Little-endian halves of values / 2^(exponent + 14), each clamped to ±65,504 and rounded to even.
 * @param segments tensor of each block of 64; `exponents`: unit 2^e of each tensor
 * @throws GRADIENT_NOT_FINITE
 */
export function encodeF16(
  values: Float32Array,
  segments: Uint32Array,
  exponents: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  if (segments.length * blockSize !== values.length) {
    throw new RangeError(`f16: ${values.length} elements in ${segments.length} blocks of ${blockSize}`);
  }
  const payload = new Uint8Array(2 * values.length);
  const halves = new Uint16Array(payload.buffer);
  segments.forEach((tensor, block) => {
    const inverse = powerOfTwo(-(exponents[tensor] + f16UnitBits));
    for (let i = block * blockSize; i < (block + 1) * blockSize; i++) {
      if (!(Math.abs(values[i]) < Infinity)) {
        throw new BitswarmError("GRADIENT_NOT_FINITE", `gradient: element ${i} of the coded tensors is ${values[i]}`);
      }
      halves[i] = halfBits(Math.min(LARGEST_HALF, Math.max(-LARGEST_HALF, values[i] * inverse)));
    }
  });
  return payload;
}

export const f16: Codec = {
  kind: "f16",
  number: 4,
  accumulate: "float",
  exactSums: false,
  coding: {
    bytes: (elements) => 2 * elements,
    encode: (values, { segments, exponents }) => ({ bytes: encodeF16(values, segments, exponents) }),
    read: (bytes) => (i) => halfValue(bytes.getUint16(2 * i, true)) * 2 ** f16UnitBits,
    unit: plainUnit,
    errorFeedback: false,
  },
};
