// Turns activations or latent weights into sign planes, the operand of every binary kernel.
import { signWords } from "../shared/window.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";

/**
 * WGSL of an invocation that makes word `index` of [rows][signWords(channels)]: for each of its elements (quads where
 * `channels % 4 == 0`), `statements` see its address `at` and its column `channel` and declare `value`, whose sign is
 * packed. Wants the constants CHANNELS, COLUMNS and WORDS, and a binding `bits`.
 */
export function packSteps(channels: number, statements: string, value: string): string {
  const width = vectorWidth(channels);
  const type = vectorType(width);
  const quads = width === 4;
  const zero = quads ? "vec4<u32>()" : "0u";
  const weights = quads ? "vec4<u32>(1u, 2u, 4u, 8u) << vec4<u32>(i)" : "1u << i";
  const count = channels % 32 === 0 ? "32u" : channels < 32 ? "CHANNELS" : "min(32u, CHANNELS - first)";
  return `
let first = (index % WORDS) * 32u;
let row = index / WORDS;
var word = ${zero};
for (var i = 0u; i < ${count}; i += ${width}u) {
  let channel = (first + i) / ${width}u;
  let at = row * COLUMNS + channel;
  ${statements}
  word |= select(${zero}, ${weights}, ${value} < ${type}());
}
bits[index] = ${quads ? "word.x | word.y | word.z | word.w" : "word"};`;
}

/**
 * x f32 [rows][channels] → bits u32 [rows][signWords(channels)]: bit i of word j is 1 where channel 32j + i is negative.
 * ±0 give 0 (sign +1, METHOD §1); the tail bits of the last word are 0.
 */
export function packSigns(o: { readonly rows: number; readonly channels: number }): Kernel {
  const width = vectorWidth(o.channels);
  const words = signWords(o.channels);
  return kernel({
    label: `packSigns ${o.rows}x${o.channels}`,
    constants: { CHANNELS: o.channels, COLUMNS: o.channels / width, WORDS: words },
    storage: [read("x", vectorType(width)), readWrite("bits", "u32")],
    items: o.rows * words,
    body: packSteps(o.channels, "", "x[at]"),
  });
}
