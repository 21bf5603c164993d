// A question with a known answer: sums of a convolution of bits are integers, so every GPU must give the very same,
// and the coordinator, which has none, can compute them by popcounts. What differs is a broken driver or a made-up
// answer.

import { crc32c } from "../base/crc32c.ts";
import { rng } from "../base/rng.ts";
import { activationPlanes, type Graph, type GraphNode, planesOf, type QuantiseRule, type WeightForm } from "./graph.ts";
import type { Rectify } from "./rectify.ts";
import { convolutionWindow, groupCount, outputHeight, outputWidth, signWords, type WindowShape } from "./window.ts";

/** The planes of a convolution that counts bits of its input's planes. */
export interface CanaryPlanes {
  readonly activations: QuantiseRule;
  readonly weights: Extract<WeightForm, { readonly kind: "linear" | "ternary" }>;
}

/** One convolution of the canary, 1-bit with C or of more planes, and all scales are 1. */
export type CanaryLayer =
  | { readonly shape: WindowShape; readonly rectify: Rectify }
  | { readonly shape: WindowShape; readonly planes: CanaryPlanes };

/**
 * Bit planes of a layer: `a` [planes][h][w][words] (of each group), `w` [planes][out][kernel][kernel][words]; tail bits
 * are zero.
 */
export interface CanaryOperands {
  readonly a: Uint32Array<ArrayBuffer>;
  readonly w: Uint32Array<ArrayBuffer>;
}

/** Side of a layer's map: as much as gives so many outputs a side, for the rest of a map shows nothing new. */
const OUTPUT_SIDE = 4;
/** Words that the coordinator compares for one newcomer, about 10 ms of its time. */
export const CANARY_WORDS = 1_500_000;
/** Stands in the hash for a sum that is no integer. */
const NO_INTEGER = 0x7fffffff;

/** Planes of the operands. */
function planeCounts(layer: CanaryLayer): { readonly a: number; readonly w: number } {
  if (!("planes" in layer)) return { a: 1, w: 1 };
  return { a: activationPlanes(layer.planes.activations), w: planesOf(layer.planes.weights) };
}

function wordsOf(layer: CanaryLayer): number {
  const { shape } = layer;
  const planes = planeCounts(layer);
  const pairs = planes.a * planes.w * outputHeight(shape) * outputWidth(shape) * groupCount(shape) * shape.out;
  return pairs * shape.kernel * shape.kernel * signWords(shape.in);
}

/** How the layer counts bits; undefined where it does not. */
function countedBits(
  nodes: Graph["nodes"],
  node: GraphNode,
): Pick<Extract<CanaryLayer, { rectify: Rectify }>, "rectify"> | { readonly planes: CanaryPlanes } | undefined {
  if (node.op === "rbconv") return { rectify: node.rectify };
  if (node.op !== "qconv") return undefined;
  const { weight: weights } = node;
  const input = nodes[node.input];
  const counts = input.op === "quantise" && (weights.kind === "linear" || weights.kind === "ternary");
  return counts ? { planes: { activations: input.rule, weights } } : undefined;
}

/**
 * The network's distinct layers that count bits, on small maps, the cheapest first, as many as fit into
 * `CANARY_WORDS`, at least one.
 */
export function canaryLayers({ nodes, shapes }: Pick<Graph, "nodes" | "shapes">): readonly CanaryLayer[] {
  const distinct = new Map<string, CanaryLayer>();
  for (const node of nodes) {
    const counted = countedBits(nodes, node);
    if (counted === undefined || (node.op !== "rbconv" && node.op !== "qconv")) continue;
    const { kernel, stride, padding } = node;
    const input = shapes[node.input];
    const side = (size: number) => Math.min(size, Math.max(1, (OUTPUT_SIDE - 1) * stride + kernel - 2 * padding));
    const shape = convolutionWindow(node, { n: 1, h: side(input.h), w: side(input.w), c: input.c });
    distinct.set(JSON.stringify([shape, counted]), { shape, ...counted });
  }
  const layers = [...distinct.values()].sort((a, b) => wordsOf(a) - wordsOf(b));
  let words = 0;
  return layers.filter((layer, i) => {
    words += wordsOf(layer);
    return i === 0 || words <= CANARY_WORDS;
  });
}

/** The operands of layer `index` for a seed. */
export function canaryOperands(layer: CanaryLayer, index: number, seed: number): CanaryOperands {
  const { shape } = layer;
  const counts = planeCounts(layer);
  const words = signWords(shape.in);
  const tail = shape.in % 32 === 0 ? 0xffffffff : 2 ** (shape.in % 32) - 1;
  const planes = (name: string, rows: number) => {
    const draws = rng(seed, "canary", name, index);
    const drawn = new Uint32Array(rows * words);
    for (let i = 0; i < drawn.length; i++) drawn[i] = draws.uint32() & (i % words === words - 1 ? tail : -1);
    return drawn;
  };
  const groups = groupCount(shape);
  const taps = groups * shape.out * shape.kernel * shape.kernel;
  return { a: planes("a", counts.a * shape.h * shape.w * groups), w: planes("w", counts.w * taps) };
}

function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The sum of a tap whose words begin at `atA` and `atW`. */
type TapSum = (atA: number, atW: number) => number;

/** in − 2·popcount(a ^ w). */
function signTap({ in: input }: WindowShape, { a, w }: CanaryOperands): TapSum {
  const words = signWords(input);
  return (atA, atW) => {
    let differing = 0;
    for (let i = 0; i < words; i++) differing += popcount(a[atA + i] ^ w[atW + i]);
    return input - 2 * differing;
  };
}

/** Σ 2^j·P(a_j, w_m) over the pairs of planes, 2^j of bits alone; P(x, w) = popcount(m) − 2·popcount((x ^ w) & m). */
function planesTap(shape: WindowShape, { activations, weights }: CanaryPlanes, { a, w }: CanaryOperands): TapSum {
  const { h, w: width, in: input, out, kernel } = shape;
  const words = signWords(input);
  const [planeOfA, planeOfW] = [h * width * words, out * kernel * kernel * words];
  const tail = input % 32 === 0 ? -1 : 2 ** (input % 32) - 1;
  const bits = activations.kind === "bits";
  const signs = weights.kind === "ternary" ? 1 : weights.planes;
  return (atA, atW) => {
    let sum = 0;
    for (let j = 0; j < activationPlanes(activations); j++) {
      for (let m = 0; m < signs; m++) {
        for (let i = 0; i < words; i++) {
          const x = a[atA + j * planeOfA + i];
          const zero = weights.kind === "ternary" ? w[atW + planeOfW + i] : 0;
          const mask = (bits ? x : -1) & ~zero & (i === words - 1 ? tail : -1);
          const negative = (bits ? 0 : x) ^ w[atW + m * planeOfW + i];
          sum += (bits ? 2 ** j : 1) * (popcount(mask) - 2 * popcount(negative & mask));
        }
      }
    }
    return sum;
  };
}

/** Sums of a layer, [oh][ow][group][out], over the taps inside the map; k bits are whole numbers of 0 to 2^k − 1. */
export function canarySums(layer: CanaryLayer, operands: CanaryOperands): Int32Array<ArrayBuffer> {
  const { shape } = layer;
  const { h, w: width, in: input, out, kernel, stride, padding } = shape;
  const words = signWords(input);
  const [rows, columns] = [outputHeight(shape), outputWidth(shape)];
  const groups = groupCount(shape);
  const outputs = groups * out;
  const sums = new Int32Array(rows * columns * outputs);
  const tapSum = "planes" in layer ? planesTap(shape, layer.planes, operands) : signTap(shape, operands);
  for (let at = 0; at < sums.length; at++) {
    const o = at % outputs;
    const group = Math.floor(o / out);
    const y = Math.floor(at / outputs / columns) * stride - padding;
    const x = (Math.floor(at / outputs) % columns) * stride - padding;
    let sum = 0;
    for (let tap = 0; tap < kernel * kernel; tap++) {
      const row = y + Math.floor(tap / kernel);
      const column = x + (tap % kernel);
      if (row < 0 || row >= h || column < 0 || column >= width) continue;
      sum += tapSum(((row * width + column) * groups + group) * words, (o * kernel * kernel + tap) * words);
    }
    sums[at] = sum;
  }
  return sums;
}

/** One u32 for the sums of all layers, as any machine has them: CRC-32C over little-endian i32. */
export function canaryHash(sums: readonly ArrayLike<number>[]): number {
  const total = sums.reduce((length, { length: more }) => length + more, 0);
  const view = new DataView(new ArrayBuffer(4 * total));
  let at = 0;
  for (const layer of sums) {
    for (let i = 0; i < layer.length; i++, at += 4) {
      view.setInt32(at, Number.isInteger(layer[i]) ? layer[i] : NO_INTEGER, true);
    }
  }
  return crc32c(new Uint8Array(view.buffer));
}

/** The answer to the canary of a seed. */
export function canaryAnswer(layers: readonly CanaryLayer[], seed: number): number {
  return canaryHash(layers.map((layer, index) => canarySums(layer, canaryOperands(layer, index, seed))));
}
