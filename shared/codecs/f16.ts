// `f16`: IEEE 754 half floats by their bits, in multiples of the tensor's unit, so that a gradient of any size meets the format's range.

import { BitswarmError } from "../base/errors.ts";
import { halfBits, LARGEST_HALF } from "../base/half.ts";
import { powerOfTwo } from "../base/powers-of-two.ts";
import { blockSize, wideBytes } from "../wire/wire-layout.ts";

/** A half float of 1 stands for 2^14 units: 65,504 of them are just below the clip of 2^30 units, the smallest is 2^-10 of one. */
export const f16UnitBits = 14;
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
  const payload = new Uint8Array(wideBytes("f16", values.length));
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
