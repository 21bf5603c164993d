// Gradients on the wire, and their exact sum: every value becomes an integer multiple of its tensor's unit, so that
// float64 addition is exact and the order in which contributions arrive cannot change a bit of the result.
//
// A contribution is a flat arena of `size` elements, a multiple of 64. Every tensor starts at a multiple of 64, so a
// block of 64 elements belongs to one tensor: `segments[block]`. The unit of tensor t in a step is 2^exponents[t].
import { BitswarmError } from "./errors.ts";

/** `exact`: i32 multiples of the unit. `f32`: float32. `int8`: an i8 exponent a block, then the i8 elements. */
export type GradientCodec = "exact" | "f32" | "int8";

/** Elements of a block. */
export const blockSize = 64;
/** Bound of one value of one contribution, in units: 2^23 contributions stay exact in float64. */
export const clip = 2 ** 30;
/** Exponent of an `int8` block of zeros. */
const zeroBlock = -128;
/** Units from 2^-512 to 2^512: a value times its inverse neither overflows nor vanishes. */
const largestUnitExponent = 512;

/** Bytes of a payload of `size` elements. `int8` has size / 64 block exponents first, then size elements. */
export function encodedBytes(codec: GradientCodec, size: number): number {
  requireWholeBlocks(size);
  switch (codec) {
    case "exact":
    case "f32":
      return size * 4;
    case "int8":
      return size / blockSize + size;
    default:
      return codec satisfies never;
  }
}

function requireWholeBlocks(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0 || size % blockSize !== 0) {
    throw new RangeError(`codec: size is a multiple of ${blockSize}, got ${size}`);
  }
}

const float64Words = new Uint32Array(2);
const float64Value = new Float64Array(float64Words.buffer);

/** 2^exponent for −1022 ≤ exponent ≤ 1023, built from its bits: Math.pow is only required to be approximate. */
function powerOfTwo(exponent: number): number {
  float64Words[0] = 0;
  float64Words[1] = (exponent + 1023) << 20;
  return float64Value[0]!;
}

/** ⌊log2 x⌋ of a double that is not subnormal: a float32 never is one. */
function exponentOf(x: number): number {
  float64Value[0] = x;
  return ((float64Words[1]! >>> 20) & 0x7ff) - 1023;
}

/** Adding it to |x| < 2^51 leaves no bits for a fraction: the sum is rounded to the nearest integer, ties to even. */
const roundingShift = 1.5 * 2 ** 52;

/** Nearest integer, ties to even, as WGSL's round() has it. */
function roundToEven(x: number): number {
  return x + roundingShift - roundingShift;
}

/**
 * Encodes as `int8`: q = round(x / 2^s), ties to even, with s the smallest exponent ≥ −127 for which max|x| ≤ 127·2^s
 * in the block of 64; a block of zeros has s = −128. The error is at most 2^(s−1). Throws GRADIENT_NOT_FINITE.
 */
export function encodeInt8(values: Float32Array): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(encodedBytes("int8", values.length));
  const blocks = values.length / blockSize;
  const exponents = new Int8Array(payload.buffer, 0, blocks);
  const quantized = new Int8Array(payload.buffer, blocks);
  for (let block = 0; block < blocks; block++) {
    const from = block * blockSize;
    let peak = 0;
    for (let i = from; i < from + blockSize; i++) {
      const magnitude = Math.abs(values[i]!);
      if (!(magnitude < Infinity)) {
        throw new BitswarmError("GRADIENT_NOT_FINITE", `gradient: element ${i} of the arena is ${values[i]}`);
      }
      if (magnitude > peak) peak = magnitude;
    }
    if (peak === 0) {
      exponents[block] = zeroBlock;
      continue;
    }
    // 127·2^(e−6) is 1.98·2^e: s is e − 6 but for the top of the binade.
    const exponent = exponentOf(peak);
    const smallest = peak <= 127 * powerOfTwo(exponent - 6) ? exponent - 6 : exponent - 5;
    const scale = Math.max(smallest, zeroBlock + 1);
    const inverse = powerOfTwo(-scale);
    exponents[block] = scale;
    for (let i = from; i < from + blockSize; i++) quantized[i] = roundToEven(values[i]! * inverse);
  }
  return payload;
}

/**
 * Adds a contribution to `sum`, in units: each value is divided by its tensor's unit, clipped to ±2^30 and rounded to
 * the nearest integer, ties to even. All checks come first, so that a failure leaves `sum` as it was: throws
 * CONTRIBUTION_MISMATCH for a payload of another length and GRADIENT_NOT_FINITE for an f32 that is not finite.
 * `payload` may have any alignment; `segments` has size / 64 tensor indices, `exponents` one exponent a tensor.
 */
export function addContribution(
  codec: GradientCodec,
  payload: Uint8Array,
  segments: Uint32Array,
  exponents: Int8Array | Int32Array,
  sum: Float64Array,
): void {
  const expected = encodedBytes(codec, sum.length);
  requireUnits(segments, exponents, sum.length);
  if (payload.length !== expected) {
    throw new BitswarmError(
      "CONTRIBUTION_MISMATCH",
      `contribution: ${codec} of ${sum.length} elements takes ${expected} bytes, got ${payload.length}`,
    );
  }
  switch (codec) {
    case "exact":
      addExact(wordsOf(payload, Int32Array), sum);
      return;
    case "f32": {
      const values = wordsOf(payload, Float32Array);
      requireFinite(values, segments);
      addFloat32(values, segments, exponents, sum);
      return;
    }
    case "int8":
      addInt8(payload, segments, exponents, sum);
      return;
    default:
      codec satisfies never;
  }
}

function requireUnits(segments: Uint32Array, exponents: Int8Array | Int32Array, size: number): void {
  if (segments.length * blockSize !== size) {
    throw new RangeError(`codec: ${size} elements have ${size / blockSize} segments, got ${segments.length}`);
  }
  for (const tensor of segments) {
    const exponent = exponents[tensor];
    if (exponent === undefined || Math.abs(exponent) > largestUnitExponent) {
      throw new RangeError(`codec: tensor ${tensor} has exponent ${exponent}, the limit is ±${largestUnitExponent}`);
    }
  }
}

function wordsOf<T>(payload: Uint8Array, View: new (buffer: ArrayBufferLike, offset: number, length: number) => T): T {
  // Not slice(): that of Node's Buffer is a view.
  const aligned = payload.byteOffset % 4 === 0 ? payload : new Uint8Array(payload);
  return new View(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}

function requireFinite(values: Float32Array, segments: Uint32Array): void {
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]!) < Infinity) continue;
    const tensor = segments[Math.floor(i / blockSize)]!;
    const element = i - segments.indexOf(tensor) * blockSize;
    throw new BitswarmError(
      "GRADIENT_NOT_FINITE",
      `contribution: element ${element} of tensor ${tensor} is ${values[i]}; only finite gradients count`,
    );
  }
}

function addExact(values: Int32Array, sum: Float64Array): void {
  for (let i = 0; i < values.length; i++) sum[i] = sum[i]! + Math.min(clip, Math.max(-clip, values[i]!));
}

function addFloat32(
  values: Float32Array,
  segments: Uint32Array,
  exponents: Int8Array | Int32Array,
  sum: Float64Array,
): void {
  for (let block = 0; block < segments.length; block++) {
    const inverse = powerOfTwo(-exponents[segments[block]!]!);
    const from = block * blockSize;
    for (let i = from; i < from + blockSize; i++) {
      sum[i] = sum[i]! + roundToEven(Math.min(clip, Math.max(-clip, values[i]! * inverse)));
    }
  }
}

function addInt8(
  payload: Uint8Array,
  segments: Uint32Array,
  exponents: Int8Array | Int32Array,
  sum: Float64Array,
): void {
  const blocks = segments.length;
  const scales = new Int8Array(payload.buffer, payload.byteOffset, blocks);
  const quantized = new Int8Array(payload.buffer, payload.byteOffset + blocks, sum.length);
  for (let block = 0; block < blocks; block++) {
    const scale = scales[block]!;
    if (scale === zeroBlock) continue;
    const units = powerOfTwo(scale - exponents[segments[block]!]!);
    const from = block * blockSize;
    for (let i = from; i < from + blockSize; i++) {
      sum[i] = sum[i]! + roundToEven(Math.min(clip, Math.max(-clip, quantized[i]! * units)));
    }
  }
}
