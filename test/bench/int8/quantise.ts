// Turns an f32 gradient into int8 times one power of two, rounded stochastically, in the layouts that the int8 products read.
// The random bits are a hash of the element's number, so every layout holds the same integers, and a run repeats.
import { kernel, read, readWrite } from "../../../kernels/text/dispatch.ts";
import type { Kernel, KernelSequence } from "../../../kernels/text/kernel.ts";
import { range } from "../../../kernels/text/range.ts";

/** n samples of [h][w][c]; the layouts below want n = 8, h a multiple of 4 and c of 32. */
export interface GradientShape {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly c: number;
}

/** Rows of positions in a word of the planes along samples: 32 bits hold 4 rows of 8 samples. */
export const ROWS_A_WORD = 4;

const LANES = 64;
const BLOCK = 2048;

/**
 * dy f32 [size] → scale f32 [2] = 2^e and 2^−e with max |dy| in (63.5, 127]·2^e. Bindings dy, scale, (scratch): the greatest
 * of each block, then of those.
 */
export function powerOfTwoScale(size: number): KernelSequence {
  const blocks = Math.ceil(size / BLOCK);
  const greatest = kernel({
    label: `int8 greatest ${size}`,
    storage: [read("dy"), readWrite("scratch", "u32")],
    items: blocks,
    body: `
var greatest = 0u;
for (var i = index * ${BLOCK}u; i < min(${size}u, (index + 1u) * ${BLOCK}u); i++) {
  greatest = max(greatest, bitcast<u32>(dy[i]) & 0x7fffffffu);
}
scratch[index] = greatest;`,
  });
  const scale = kernel({
    label: `int8 scale ${blocks}`,
    declarations: `var<workgroup> parts: array<u32, ${LANES}>;`,
    storage: [read("scratch", "u32"), readWrite("scale")],
    items: LANES,
    workgroupSize: LANES,
    barriers: true,
    body: `
var part = 0u;
for (var i = local; i < ${blocks}u; i += ${LANES}u) { part = max(part, scratch[i]); }
parts[local] = part;
workgroupBarrier();
if (local == 0u) {
  var greatest = 0u;
  for (var i = 0u; i < ${LANES}u; i++) { greatest = max(greatest, parts[i]); }
  // 127 = 1.984375·2^6: a mantissa beyond that takes the next power.
  let over = select(0u, 1u, (greatest & 0x007fffffu) > 0x007e0000u);
  let exponent = max(greatest >> 23u, 8u) + over - 6u;
  scale[0] = bitcast<f32>(exponent << 23u);
  scale[1] = bitcast<f32>((254u - exponent) << 23u);
}`,
  });
  return { kernels: [greatest, scale], scratchBytes: 4 * blocks };
}

/** Stochastic rounding; the hash is pcg of M. Jarzynski and M. Olano, "Hash Functions for GPU Rendering" (JCGT 2020). */
const ROUNDED = `
fn hash(seed: u32) -> u32 {
  let state = seed * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}
fn rounded(i: u32, inverse: f32, seed: u32) -> i32 {
  let draw = f32(hash(i ^ seed) >> 8u) / 16777216.0;
  return clamp(i32(floor(dy[i] * inverse + draw)), -127, 127);
}`;

/** The int8 of element i, the same in every layout. */
const QUANTISED = `${ROUNDED}
fn quantised(i: u32, inverse: f32) -> i32 { return rounded(i, inverse, 0u); }`;

/** values f32 [size], integers times scale[0]: dy as an int8 backward sees it, with draws of this layer and of seed u32 [1]. */
export function roundGradient(size: number, layer: number): Kernel {
  return kernel({
    label: `int8 rounded ${size} layer ${layer}`,
    declarations: ROUNDED,
    storage: [read("dy"), read("scale"), read("seed", "u32"), readWrite("values")],
    items: size,
    body: `values[index] = f32(rounded(index, scale[1], hash(seed[0] + ${layer}u))) * scale[0];`,
  });
}

function quantiser(label: string, items: number, outputs: readonly string[], body: string): Kernel {
  return kernel({
    label: `int8 ${label}`,
    declarations: QUANTISED,
    storage: [
      read("dy"),
      read("scale"),
      ...outputs.map((name) => readWrite(name, name === "sums" ? "i32" : name === "values" ? "f32" : "u32")),
    ],
    items,
    body: `let inverse = scale[1];\n${body}`,
  });
}

/** values f32 [size]: the integers times the scale, to check the others against. */
export function quantiseDequantise(size: number): Kernel {
  return quantiser("dequantise", size, ["values"], "values[index] = f32(quantised(index, inverse)) * scale[0];");
}

/** bytes u32 [n·h·w][c/4]: four channels a word. */
export function bytesAlongChannels(s: GradientShape): Kernel {
  const parts = range(4).map((k) => `((u32(quantised(4u * index + ${k}u, inverse)) & 0xffu) << ${8 * k}u)`);
  return quantiser(
    "bytes along channels",
    (s.n * s.h * s.w * s.c) / 4,
    ["bytes"],
    `bytes[index] = ${parts.join(" | ")};`,
  );
}

/** bytes u32 [h·w][n/4][c]: four samples a word. */
export function bytesAlongSamples(s: GradientShape): Kernel {
  const size = s.h * s.w * s.c;
  const element = (k: number) => `(4u * group + ${k}u) * ${size}u + position * ${s.c}u + channel`;
  const parts = range(4).map((k) => `((u32(quantised(${element(k)}, inverse)) & 0xffu) << ${8 * k}u)`);
  return quantiser(
    "bytes along samples",
    (s.n * size) / 4,
    ["bytes"],
    `
let channel = index % ${s.c}u;
let group = (index / ${s.c}u) % ${s.n / 4}u;
let position = index / ${(s.c * s.n) / 4}u;
bytes[index] = ${parts.join(" | ")};`,
  );
}

/** Bit i of plane b is bit b of value i + 128: planes of non-negative weights, and 128·Σ±1 to be taken off. */
function planesOf(bits: string): string {
  return range(8)
    .map((b) => `plane_${b} |= ((unsigned >> ${b}u) & 1u) << ${bits};`)
    .join("\n");
}

const declarePlanes = range(8)
  .map((b) => `var plane_${b} = 0u;`)
  .join("\n");

/** planes u32 [n·h·w][c/32][8] and sums i32 [n·h·w][c/32], each word's Σ value. */
export function planesAlongChannels(s: GradientShape): Kernel {
  return quantiser(
    "planes along channels",
    (s.n * s.h * s.w * s.c) / 32,
    ["planes", "sums"],
    `
${declarePlanes}
var total = 0;
for (var bit = 0u; bit < 32u; bit++) {
  let value = quantised(32u * index + bit, inverse);
  total += value;
  let unsigned = u32(value + 128);
  ${planesOf("bit")}
}
${range(8)
  .map((b) => `planes[8u * index + ${b}u] = plane_${b};`)
  .join("\n")}
sums[index] = total;`,
  );
}

/** planes u32 [h/4][w][8][c]: bit 8·r + sample of row 4·block + r. */
export function planesAlongSamples(s: GradientShape): Kernel {
  return quantiser(
    "planes along samples",
    (s.h / ROWS_A_WORD) * s.w * s.c,
    ["planes"],
    `
let channel = index % ${s.c}u;
let column = (index / ${s.c}u) % ${s.w}u;
let block = index / ${s.c * s.w}u;
${declarePlanes}
for (var bit = 0u; bit < 32u; bit++) {
  let row = ${ROWS_A_WORD}u * block + bit / ${s.n}u;
  let at = (((bit % ${s.n}u) * ${s.h}u + row) * ${s.w}u + column) * ${s.c}u + channel;
  let unsigned = u32(quantised(at, inverse) + 128);
  ${planesOf("bit")}
}
let to = (index / ${s.c}u) * ${8 * s.c}u + channel;
${range(8)
  .map((b) => `planes[to + ${b * s.c}u] = plane_${b};`)
  .join("\n")}`,
  );
}

/** sums i32 [h/4][9][c]: Σ value over the block's rows and samples whose pixel at a 3×3 tap (padding 1) lies in the image. */
export function tapSums(s: GradientShape): Kernel {
  return quantiser(
    "tap sums",
    (s.h / ROWS_A_WORD) * 9 * s.c,
    ["sums"],
    `
let channel = index % ${s.c}u;
let tap = (index / ${s.c}u) % 9u;
let block = index / ${9 * s.c}u;
let ky = tap / 3u;
let kx = tap % 3u;
var total = 0;
for (var r = 0u; r < ${ROWS_A_WORD}u; r++) {
  let row = ${ROWS_A_WORD}u * block + r;
  if (row + ky - 1u < ${s.h}u) {
    for (var column = select(0u, 1u, kx == 0u); column < ${s.w}u - select(0u, 1u, kx == 2u); column++) {
      for (var sample = 0u; sample < ${s.n}u; sample++) {
        total += quantised(((sample * ${s.h}u + row) * ${s.w}u + column) * ${s.c}u + channel, inverse);
      }
    }
  }
}
sums[index] = total;`,
  );
}
