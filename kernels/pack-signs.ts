// Turns activations or latent weights into sign planes, the operand of every binary kernel.
import { signWords } from "../shared/window.ts";
import { type Dispatch, kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";
import { type Packing, packLanes } from "./pack-lanes.ts";

/**
 * WGSL of an invocation that makes word `index` of [rows][signWords(channels)]: for each of its elements (quads where
 * `channels % 4 == 0`), `statements` see its address `at` and its column `channel` and declare `value`, whose sign is
 * packed. Wants the constants CHANNELS, COLUMNS and WORDS, and a binding `bits`.
 */
function packSteps(channels: number, statements: string, value: string): string {
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
 * A dispatch that packs a value of every element of [rows][channels], by whom `how` says: see packSteps and packLanes. The
 * statements see quads where `width` is 4.
 */
export function packing(o: {
  readonly how: Packing;
  readonly rows: number;
  readonly channels: number;
  readonly statements: string;
  readonly value: string;
}): Omit<Dispatch, "label" | "storage"> & { readonly width: 4 | 1 } {
  const { how, rows, channels, statements, value } = o;
  const width = how === "words" ? vectorWidth(channels) : 1;
  const words = signWords(channels);
  const constants = { CHANNELS: channels, COLUMNS: channels / width, WORDS: words };

  if (how === "words") return { constants, width, items: rows * words, body: packSteps(channels, statements, value) };
  return { constants, width, ...packLanes({ how, rows, channels, statements, value }) };
}

/**
 * x f32 [rows][channels] → bits u32 [rows][signWords(channels)]: bit i of word j is 1 where channel 32j + i is negative.
 * ±0 give 0 (sign +1, METHOD §1); the tail bits of the last word are 0.
 */
export function packSigns(o: { readonly rows: number; readonly channels: number; readonly how?: Packing }): Kernel {
  const { width, ...dispatch } = packing({ how: "words", ...o, statements: "", value: "x[at]" });
  return kernel({
    ...dispatch,
    label: `packSigns ${o.rows}x${o.channels}`,
    storage: [read("x", vectorType(width)), readWrite("bits", "u32")],
  });
}
