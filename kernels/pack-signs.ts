// Turns activations or latent weights into sign planes, the operand of every binary kernel.
import { signWords } from "../shared/window.ts";
import { type Dispatch, kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";
import { type Packing, packLanes } from "./pack-lanes.ts";
import { range } from "./range.ts";

/**
 * WGSL of an invocation that makes word `index` of [rows][signWords(channels)]: for each of its elements (quads where
 * `channels % 4 == 0`), `statements` see its address `at` and its column `channel` and declare `value`, whose sign is
 * packed. Wants the constants CHANNELS, COLUMNS and WORDS, and a binding `bits`.
 */
function packSteps(channels: number, statements: string, value: string): string {
  const quads = vectorWidth(channels) === 4;
  const place = "let first = (index % WORDS) * 32u;\nlet row = index / WORDS;";
  if (quads && (channels % 32 === 0 || channels < 32)) {
    return `${place}
var word = vec4<u32>();
${range(Math.min(channels, 32) / 4)
  .map((q) => packQuad(q, statements, value))
  .join("\n")}
bits[index] = word.x | word.y | word.z | word.w;`;
  }
  const [width, type, zero] = quads ? [4, "vec4<f32>", "vec4<u32>()"] : [1, "f32", "0u"];
  const weights = quads ? "vec4<u32>(1u, 2u, 4u, 8u) << vec4<u32>(i)" : "1u << i";
  const count = channels < 32 ? "CHANNELS" : "min(32u, CHANNELS - first)";
  return `${place}
var word = ${zero};
for (var i = 0u; i < ${count}; i += ${width}u) {
  let channel = (first + i) / ${width}u;
  let at = row * COLUMNS + channel;
  ${statements}
  word |= select(${zero}, ${weights}, ${value} < ${type}());
}
bits[index] = ${quads ? "word.x | word.y | word.z | word.w" : "word"};`;
}

/** Quad `q` of a word, written out: a software adapter shifts lane by lane, and masks what lives at each turn of a loop. */
function packQuad(q: number, statements: string, value: string): string {
  const weights = range(4).map((l) => `${2 ** (4 * q + l)}u`);
  return `{
  let channel = first / 4u + ${q}u;
  let at = row * COLUMNS + channel;
  ${statements}
  word |= select(vec4<u32>(), vec4<u32>(${weights.join(", ")}), ${value} < vec4<f32>());
}`;
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
