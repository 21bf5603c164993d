// A map made of few bits: its planes, which binary convolutions read, and the values that they stand for, which
// gradients of weights and layers of floats read.
import { activationPlanes, type QuantiseRule } from "../../shared/model/graph.ts";
import { signWords } from "../../shared/model/window.ts";
import { type Dispatch, kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";
import type { Packing } from "./pack-lanes.ts";
import { describeRule, quantisedText, ruleFloats, ruleStorage } from "./quantise-rule.ts";

export interface QuantisedMap {
  readonly rows: number;
  readonly channels: number;
  readonly rule: QuantiseRule;
}

type Body = Pick<Dispatch, "items" | "body"> & Partial<Dispatch>;

/** Statements of the element (or quad) at address `at`, before its bits are taken. */
function elementText(rule: QuantiseRule, store: boolean): string {
  const { setup, value } = quantisedText(rule);
  return `let v = x[at];\n${setup}${store ? `\ny[at] = ${value};` : ""}`;
}

/** An invocation makes a word of each plane. */
function byWords({ rows, channels, rule }: QuantisedMap, width: 4 | 1, store: boolean): Body {
  const planes = range(activationPlanes(rule));
  const { set } = quantisedText(rule);
  const words = signWords(channels);
  const weights = width === 4 ? "vec4<u32>(1u, 2u, 4u, 8u)" : "1u";
  const whole = (j: number) => (width === 4 ? `word_${j}.x | word_${j}.y | word_${j}.z | word_${j}.w` : `word_${j}`);
  const body = `
let first = (index % WORDS) * 32u;
let row = index / WORDS;
${planes.map((j) => `var word_${j} = U();`).join("\n")}
for (var i = 0u; i < min(32u, CHANNELS - first); i += ${width}u) {
let at = row * COLUMNS + (first + i) / ${width}u;
${elementText(rule, store)}
let bit = ${weights} << U(i);
${planes.map((j) => `word_${j} |= select(U(), bit, ${set[j]!});`).join("\n")}
}
${planes.map((j) => `bits[${j * rows * words}u + index] = ${whole(j)};`).join("\n")}`;
  return { items: rows * words, body };
}

const WORKGROUP = 256;
const WORDS_A_GROUP = WORKGROUP / 32;

/** An invocation takes an element, and its workgroup puts the words together, so that neighbours read neighbours. */
function byLanes({ rows, channels, rule }: QuantisedMap, store: boolean): Body {
  const planes = activationPlanes(rule);
  const { set } = quantisedText(rule);
  const words = rows * signWords(channels);
  return {
    declarations: `var<workgroup> made: array<atomic<u32>, ${planes * WORDS_A_GROUP}>;`,
    items: 32 * words,
    workgroupSize: WORKGROUP,
    barriers: true,
    body: `
let row = index / (32u * WORDS);
let channel = index % (32u * WORDS);
if ((channel < CHANNELS) & (row < ${rows}u)) {
let at = row * CHANNELS + channel;
${elementText(rule, store)}
${range(planes)
  .map((j) => `if (${set[j]!}) { atomicOr(&made[${j * WORDS_A_GROUP}u + local / 32u], 1u << (local % 32u)); }`)
  .join("\n")}
}
workgroupBarrier();
if (local < ${planes * WORDS_A_GROUP}u) {
let word = (index - local) / 32u + local % ${WORDS_A_GROUP}u;
if (word < ${words}u) { bits[(local / ${WORDS_A_GROUP}u) * ${words}u + word] = atomicLoad(&made[local]); }
}`,
  };
}

/**
 * x f32 [rows][channels] → by the rule, its values y f32 [rows][channels] with `store`, and its planes bits u32
 * [planes][rows][signWords(channels)] where `pack` says who makes them; tail bits are 0. Bases read shift and scale f32
 * [bases].
 */
export function quantiseForward(o: QuantisedMap & { readonly store: boolean; readonly pack: Packing | false }): Kernel {
  const { rows, channels, rule, store, pack } = o;
  const lanes = pack !== false && pack !== "words";
  const width = lanes ? 1 : vectorWidth(channels);
  const type = vectorType(width);
  const { declarations, ...dispatch }: Body =
    pack === false
      ? { items: (rows * channels) / width, body: `let at = index;\n${elementText(rule, true)}` }
      : lanes
        ? byLanes(o, store)
        : byWords(o, width, store);
  return kernel({
    ...dispatch,
    label: `quantise ${describeRule(rule)}${store ? " values" : ""}${pack ? " planes" : ""} ${rows}x${channels}`,
    constants: { CHANNELS: channels, COLUMNS: channels / width, WORDS: signWords(channels) },
    floats: ruleFloats(rule),
    declarations: [`alias V = ${type};\nalias U = ${width === 4 ? "vec4<u32>" : "u32"};`, declarations ?? ""].join(
      "\n",
    ),
    storage: [
      read("x", type),
      ...ruleStorage(rule),
      ...(store || pack === false ? [readWrite("y", type)] : []),
      ...(pack === false ? [] : [readWrite("bits", "u32")]),
    ],
  });
}
