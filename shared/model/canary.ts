// A question with a known answer: sums of a 1-bit convolution are integers, so every GPU must give the very same ones,
// and the coordinator, which has none, can compute them by popcounts. What differs is a broken driver or a made-up
// answer.

import { crc32c } from "../base/crc32c.ts";
import { rng } from "../base/rng.ts";
import type { Graph } from "./graph.ts";
import type { Rectify } from "./rectify.ts";
import { outputHeight, outputWidth, signWords, type WindowShape } from "./window.ts";

/** One 1-bit convolution of the canary, with C = 1 everywhere. */
export interface CanaryLayer {
  readonly shape: WindowShape;
  readonly rectify: Rectify;
}

/** Sign planes of a layer: `a` [h][w][words], `w` [out][kernel][kernel][words]; tail bits are zero. */
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

function wordsOf({ shape }: CanaryLayer): number {
  return outputHeight(shape) * outputWidth(shape) * shape.out * shape.kernel * shape.kernel * signWords(shape.in);
}

/**
 * The network's distinct 1-bit layers on small maps, the cheapest first, as many as fit into `CANARY_WORDS`, at least
 * one.
 */
export function canaryLayers({ nodes, shapes }: Pick<Graph, "nodes" | "shapes">): readonly CanaryLayer[] {
  const distinct = new Map<string, CanaryLayer>();
  for (const node of nodes) {
    if (node.op !== "rbconv") continue;
    const { kernel, stride, padding, out, rectify } = node;
    const input = shapes[node.input];
    const side = (size: number) => Math.min(size, Math.max(1, (OUTPUT_SIDE - 1) * stride + kernel - 2 * padding));
    const shape = { n: 1, h: side(input.h), w: side(input.w), in: input.c, out, kernel, stride, padding };
    distinct.set(JSON.stringify([shape, rectify]), { shape, rectify });
  }
  const layers = [...distinct.values()].sort((a, b) => wordsOf(a) - wordsOf(b));
  let words = 0;
  return layers.filter((layer, i) => {
    words += wordsOf(layer);
    return i === 0 || words <= CANARY_WORDS;
  });
}

/** The operands of layer `index` for a seed. */
export function canaryOperands({ shape }: CanaryLayer, index: number, seed: number): CanaryOperands {
  const words = signWords(shape.in);
  const tail = shape.in % 32 === 0 ? 0xffffffff : 2 ** (shape.in % 32) - 1;
  const planes = (name: string, rows: number) => {
    const draws = rng(seed, "canary", name, index);
    const drawn = new Uint32Array(rows * words);
    for (let i = 0; i < drawn.length; i++) drawn[i] = draws.uint32() & (i % words === words - 1 ? tail : -1);
    return drawn;
  };
  return { a: planes("a", shape.h * shape.w), w: planes("w", shape.out * shape.kernel * shape.kernel) };
}

function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Sums of a layer, [oh][ow][out]: in − 2·popcount(a ^ w) over each tap inside the map, nothing outside. */
export function canarySums({ shape }: CanaryLayer, { a, w }: CanaryOperands): Int32Array<ArrayBuffer> {
  const { h, w: width, in: input, out, kernel, stride, padding } = shape;
  const words = signWords(input);
  const [rows, columns] = [outputHeight(shape), outputWidth(shape)];
  const sums = new Int32Array(rows * columns * out);
  for (let at = 0; at < sums.length; at++) {
    const o = at % out;
    const y = Math.floor(at / out / columns) * stride - padding;
    const x = (Math.floor(at / out) % columns) * stride - padding;
    let sum = 0;
    for (let tap = 0; tap < kernel * kernel; tap++) {
      const row = y + Math.floor(tap / kernel);
      const column = x + (tap % kernel);
      if (row < 0 || row >= h || column < 0 || column >= width) continue;
      const atA = (row * width + column) * words;
      const atW = (o * kernel * kernel + tap) * words;
      let differing = 0;
      for (let i = 0; i < words; i++) differing += popcount(a[atA + i] ^ w[atW + i]);
      sum += input - 2 * differing;
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
