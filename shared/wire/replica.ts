// A partner, such as discriminators, in about one byte a weight: coordinator and workers hold the same replica, and
// each step moves it by int8 multiples of a power of two towards the true values. What one step rounds away is still
// missing in the next, so errors do not add up (error feedback, Seide et al. 2014; on the way down as in DoubleSqueeze,
// Tang et al. 2019).

import { BitswarmError } from "../base/errors.ts";
import { powerOfTwo } from "../base/powers-of-two.ts";
import { int8Exponent } from "../codecs/int8.ts";
import type { BlobLayout } from "./parameter-blob.ts";
import { RICE_BLOCK, type RiceReader, type RiceWriter } from "./rice.ts";

/** Of a block's scale, in a byte; the largest difference of two float32 is below 127·2^123. */
const leastExponent = -128;
const largestExponent = 127;

/** The smallest exponent with peak ≤ 127·2^exponent. */
function scaleExponent(peak: number): number {
  return Math.min(largestExponent, Math.max(leastExponent, int8Exponent(peak)));
}

const quantized = new Uint32Array(RICE_BLOCK);

/**
 * Moves one tensor of the replica towards the true values, block by block, and writes the steps: an i8 exponent, then
 * the multiples in Rice code, zigzag. The error left is at most half a step. @throws GRADIENT_NOT_FINITE for values
 * that are not finite
 */
export function advanceReplica(writer: RiceWriter, name: string, replica: Float32Array, target: Float32Array): void {
  for (let from = 0; from < target.length; from += RICE_BLOCK) {
    const count = Math.min(RICE_BLOCK, target.length - from);
    let peak = 0;
    for (let i = from; i < from + count; i++) {
      const distance = Math.abs(target[i]! - replica[i]!);
      if (!(distance < Infinity)) {
        throw new BitswarmError("GRADIENT_NOT_FINITE", `element ${i} of ${name} is ${target[i]} after a step`);
      }
      if (distance > peak) peak = distance;
    }
    const exponent = peak === 0 ? 0 : scaleExponent(peak);
    const [scale, inverse] = [powerOfTwo(exponent), powerOfTwo(-exponent)];
    for (let i = 0; i < count; i++) {
      const q = Math.round((target[from + i]! - replica[from + i]!) * inverse);
      quantized[i] = q < 0 ? -2 * q - 1 : 2 * q;
      replica[from + i] = replica[from + i]! + q * scale;
    }
    writer.put(exponent & 0xff, 8);
    writer.block(quantized, count);
  }
}

/** Moves every tensor of a blob as `advanceReplica` moved the coordinator's replica. @throws FRAME_CORRUPT */
export function followReplica(reader: RiceReader, { tensors }: BlobLayout, blob: Uint8Array<ArrayBuffer>): void {
  for (const { offset, bytes } of tensors.values()) {
    const values = new Float32Array(blob.buffer, blob.byteOffset + offset, bytes / 4);
    for (let from = 0; from < values.length; from += RICE_BLOCK) {
      const count = Math.min(RICE_BLOCK, values.length - from);
      const scale = powerOfTwo((reader.take(8) << 24) >> 24);
      reader.block(quantized, count);
      for (let i = 0; i < count; i++) {
        const zigzag = quantized[i]!;
        const q = zigzag & 1 ? -((zigzag >>> 1) + 1) : zigzag >>> 1;
        values[from + i] = values[from + i]! + q * scale;
      }
    }
  }
}
