// IEEE 754 binary16 beside float32: what parameters, gradients and tensors of files are where they are `f16`.

import { powerOfTwo } from "./powers-of-two.ts";

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

/** Bits of the float32 +∞: those of every finite value from +0 up are below, and ordered as the values are. */
export const FLOAT32_INFINITY_BITS = 0x7f80_0000;
/** The largest finite half. */
export const LARGEST_HALF = 65504;
/** Bits of +∞, and of the largest finite half. */
const infinity = 0x7c00;
const largest = 0x7bff;

/**
 * Bits of the half nearest to a float32, ties to even. A finite value beyond ±65504 becomes ±65504, so that only what
 * is infinite or no number already stays so.
 */
export function halfBits(value: number): number {
  single[0] = value;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (magnitude >= FLOAT32_INFINITY_BITS) return sign | (magnitude === FLOAT32_INFINITY_BITS ? infinity : 0x7e00);
  if (magnitude >= 0x477f_e000) return sign | largest;
  // From 2^-14 on the exponent moves from bias 127 to 15, and 13 bits of the fraction are rounded away.
  if (magnitude >= 0x3880_0000) return sign | ((magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Below, a half is a multiple of 2^-24, as the last bit of a float32 in [0.5, 1) is: the addition rounds.
  single[0] = Math.abs(value) + 0.5;
  return sign | (word[0]! - 0x3f00_0000);
}

/** The value of a half's bits: exact, as every half is a float32. */
export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1024 + fraction) * powerOfTwo(exponent - 25);
}

let values: Float32Array | undefined;

/** The float32 of each of the 65536 halves, made when first asked for. */
export function halfValues(): Float32Array {
  values ??= Float32Array.from({ length: 0x1_0000 }, (_, bits) => halfValue(bits));
  return values;
}

/** Replaces each value by the half nearest to it. */
export function roundToHalf(tensor: Float32Array): void {
  const table = halfValues();
  for (let i = 0; i < tensor.length; i++) tensor[i] = table[halfBits(tensor[i]!)]!;
}
