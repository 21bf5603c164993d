// Turns activations or latent weights into sign planes, the operand of every binary kernel.
import { signWords } from "../shared/window.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";

/**
 * x f32 [rows][channels] → bits u32 [rows][signWords(channels)]: bit i of word j is 1 where channel 32j + i is negative.
 * ±0 give 0 (sign +1, METHOD §1); the tail bits of the last word are 0.
 */
export function packSigns(o: { readonly rows: number; readonly channels: number }): Kernel {
  const width = vectorWidth(o.channels);
  const words = signWords(o.channels);
  const weights = width === 4 ? "vec4<u32>(1u, 2u, 4u, 8u)" : "1u";
  const zero = width === 4 ? "vec4<u32>()" : "0u";
  return kernel({
    label: `packSigns ${o.rows}x${o.channels}`,
    constants: { CHANNELS: o.channels, WORDS: words },
    storage: [read("x", vectorType(width)), readWrite("bits", "u32")],
    items: o.rows * words,
    body: `
let first = (index % WORDS) * 32u;
let start = (index / WORDS) * CHANNELS + first;
let count = min(32u, CHANNELS - first);
var word = ${zero};
for (var i = 0u; i < count; i += ${width}u) {
  word |= select(${zero}, ${weights} << ${width === 4 ? "vec4<u32>(i)" : "i"}, x[(start + i) / ${width}u] < ${width === 4 ? "vec4<f32>()" : "0.0"});
}
bits[index] = ${width === 4 ? "word.x | word.y | word.z | word.w" : "word"};`,
  });
}
