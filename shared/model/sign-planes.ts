// Ŵ = sign(W) as it travels and as kernels read it: one bit a weight.
import { signWords } from "./window.ts";

function requireElements(name: string, actual: number, expected: number): void {
  if (actual !== expected) throw new RangeError(`sign planes: ${name} has ${actual} elements, expected ${expected}`);
}

/**
 * [rows][channels] → [rows][signWords(channels)], where rows = out·kh·kw of [out][kh][kw][in]. Channel i is bit i % 32
 * of word ⌊i / 32⌋; a bit is 1 where x < 0, so 0, −0 and NaN count as +1; tail bits are 0.
 */
export function packSignPlanes(weights: Float32Array, rows: number, channels: number): Uint32Array<ArrayBuffer> {
  requireElements("weights", weights.length, rows * channels);
  const words = signWords(channels);
  const bits = new Uint32Array(rows * words);
  let from = 0;
  for (let row = 0; row < rows; row++) {
    for (let word = 0; word < words; word++) {
      const count = Math.min(32, channels - word * 32);
      let plane = 0;
      for (let bit = 0; bit < count; bit++) if (weights[from++]! < 0) plane |= 1 << bit;
      bits[row * words + word] = plane;
    }
  }
  return bits;
}

/** [rows][signWords(channels)] → [rows][channels] of ±1: −1 where the bit is 1. */
export function unpackSignPlanes(bits: Uint32Array, rows: number, channels: number): Float32Array<ArrayBuffer> {
  const words = signWords(channels);
  requireElements("bits", bits.length, rows * words);
  const weights = new Float32Array(rows * channels);
  for (let row = 0; row < rows; row++) {
    for (let channel = 0; channel < channels; channel++) {
      const plane = bits[row * words + (channel >>> 5)]!;
      weights[row * channels + channel] = (plane >>> (channel & 31)) & 1 ? -1 : 1;
    }
  }
  return weights;
}
