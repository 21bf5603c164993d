// `f16`: IEEE 754 half floats by their bits, in multiples of the tensor's unit, so that a gradient of any size meets the format's range.

import { BitswarmError } from "./errors.ts";
import { powerOfTwo } from "./powers-of-two.ts";
import { blockSize, wideBytes } from "./wire-layout.ts";

/** A half float of 1 stands for 2^14 units: 65,504 of them are just below the clip of 2^30 units, the smallest is 2^-10 of one. */
export const f16UnitBits = 14;
const largest = 65504;

const floatValue = new Float32Array(1);
const floatBits = new Uint32Array(floatValue.buffer);

/** Bits of the half float nearest to x, ties to even; beyond ±65,504 that. A NaN stays one. */
export function toF16(x: number): number {
  floatValue[0] = Math.min(largest, Math.max(-largest, x));
  const bits = floatBits[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // Below 2^-14 halves are multiples of 2^-24: adding 0.5 leaves a float32 just these bits, rounded to even.
  if (magnitude < 0x38800000) {
    floatBits[0] = magnitude;
    floatValue[0] += 0.5;
    return sign | (floatBits[0] - 0x3f000000);
  }
  // 13 bits of fraction go; half an ulp less one, and one more where the last bit kept is odd, rounds ties to even.
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | Math.min(0x7bff, (rounded - 0x38000000) >>> 13);
}

/** The value of a half float's bits: exact, as every half is a float32. */
export function fromF16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * powerOfTwo(exponent - 25));
}

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
      halves[i] = toF16(values[i] * inverse);
    }
  });
  return payload;
}
