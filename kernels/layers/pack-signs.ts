// Turns activations or latent weights into sign planes, the operand of every binary kernel.
import { signWords } from "../../shared/model/window.ts";
import { type Dispatch, kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";
import { type Packing, packLanes } from "./pack-lanes.ts";

/** Words that an invocation makes at most, and the invocations below which none makes more than one. */
const MOST_WORDS = 4;
const ENOUGH_INVOCATIONS = 512;

/** What is packed of every element (quad where `channels % 4 == 0`) of [rows][channels]. */
interface Packed {
  readonly rows: number;
  readonly channels: number;
  /** Groups that the channels of a row are packed by: words of each are apart. One unless given. */
  readonly groups?: number | undefined;
  /** Statements that see `channel`, the element's column. */
  readonly setup: string;
  /** Statements that see its address `at` too, and declare `value`, whose sign is packed. */
  readonly statements: string;
  readonly value: string;
}

/**
 * Invocations that make the words of [rows][signWords(channels)], each those of one word in several rows where
 * something of the column is read once for them. Wants the constants CHANNELS, COLUMNS and WORDS, and a binding `bits`.
 */
function packSteps(o: Packed): { readonly items: number; readonly body: string } {
  const { rows, channels, groups = 1 } = o;
  const words = signWords(channels);
  const quads = vectorWidth(channels) === 4;
  const place = "let first = (index % WORDS) * 32u;\nlet row = index / WORDS;";
  if (quads && (channels % 32 === 0 || channels < 32)) {
    // What is read once is of one column: rows are apart by whole ones.
    const fits = (turns: number) => rows % (turns * groups) === 0 && rows * words >= turns * ENOUGH_INVOCATIONS;
    const turns = o.setup === "" ? 1 : ([MOST_WORDS, 2].find(fits) ?? 1);
    const apart = rows / turns;
    const body = `${place}
${range(turns)
  .map((k) => `var word_${k} = vec4<u32>();`)
  .join("\n")}
${range(Math.min(channels, 32) / 4)
  .map((q) => packQuad(o, q, turns, apart))
  .join("\n")}
${range(turns)
  .map((k) => `bits[index + ${k * apart * words}u] = word_${k}.x | word_${k}.y | word_${k}.z | word_${k}.w;`)
  .join("\n")}`;
    return { items: apart * words, body };
  }
  const [width, type, zero] = quads ? [4, "vec4<f32>", "vec4<u32>()"] : [1, "f32", "0u"];
  const weights = quads ? "vec4<u32>(1u, 2u, 4u, 8u) << vec4<u32>(i)" : "1u << i";
  const count = channels < 32 ? "CHANNELS" : "min(32u, CHANNELS - first)";
  const body = `${place}
var word = ${zero};
for (var i = 0u; i < ${count}; i += ${width}u) {
  let channel = (first + i) / ${width}u;
  let at = row * COLUMNS + channel;
  ${o.setup}
  ${o.statements}
  word |= select(${zero}, ${weights}, ${o.value} < ${type}());
}
bits[index] = ${quads ? "word.x | word.y | word.z | word.w" : "word"};`;
  return { items: rows * words, body };
}

/**
 * Quad `q` of the words, written out: a software adapter shifts lane by lane, and masks what lives at each turn of a
 * loop.
 */
function packQuad({ setup, statements, value }: Packed, q: number, turns: number, apart: number): string {
  const weights = range(4).map((l) => `${2 ** (4 * q + l)}u`);
  const turn = (k: number) => `{
  let at = (row + ${k * apart}u) * COLUMNS + channel;
  ${statements}
  word_${k} |= select(vec4<u32>(), vec4<u32>(${weights.join(", ")}), ${value} < vec4<f32>());
}`;
  return `{
let channel = first / 4u + ${q}u;
${setup}
${range(turns).map(turn).join("\n")}
}`;
}

/**
 * A dispatch that packs a value of every element of [rows][channels], by whom `how` says: see packSteps and packLanes.
 * The statements see quads where `width` is 4, and with groups a row for each.
 */
export function packing(
  map: Packed & { readonly how: Packing },
): Omit<Dispatch, "label" | "storage"> & { readonly width: 4 | 1 } {
  const { how, groups = 1, setup, statements } = map;
  const channels = map.channels / groups;
  const o = { ...map, rows: map.rows * groups, channels };
  const width = how === "words" ? vectorWidth(channels) : 1;
  const constants = { CHANNELS: channels, COLUMNS: channels / width, WORDS: signWords(channels) };
  if (how === "words") return { constants, width, ...packSteps(o) };
  return { constants, width, ...packLanes({ ...o, how, statements: `${setup}\n${statements}` }) };
}

/**
 * x f32 [rows][channels] → bits u32 [rows][signWords(channels)]: bit i of word j is 1 where channel 32j + i is
 * negative. ±0 give 0 (sign +1, methods/README.md); the tail bits of the last word are 0.
 */
export function packSigns(o: { readonly rows: number; readonly channels: number; readonly how?: Packing }): Kernel {
  const { width, ...dispatch } = packing({ how: "words", ...o, setup: "", statements: "", value: "x[at]" });
  return kernel({
    ...dispatch,
    label: `packSigns ${o.rows}x${o.channels}`,
    storage: [read("x", vectorType(width)), readWrite("bits", "u32")],
  });
}
