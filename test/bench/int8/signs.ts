// Sign bits in the layouts that the int8 products read, made of the planes that the product's kernels keep.
import { kernel, read, readWrite } from "../../../kernels/text/dispatch.ts";
import type { Kernel } from "../../../kernels/text/kernel.ts";
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { ROWS_A_WORD } from "./quantise.ts";

/** w u32 [out][kh][kw][signWords(in)] → signs u32 [kh][kw][in][out/32]. */
export function weightsAlongOutputs(s: WindowShape): Kernel {
  const taps = s.kernel * s.kernel;
  const words = signWords(s.in);
  return kernel({
    label: "int8 weights along outputs",
    storage: [read("w", "u32"), readWrite("signs", "u32")],
    items: (taps * s.in * s.out) / 32,
    body: `
let word = index % ${s.out / 32}u;
let input = (index / ${s.out / 32}u) % ${s.in}u;
let tap = index / ${(s.in * s.out) / 32}u;
var bits = 0u;
for (var bit = 0u; bit < 32u; bit++) {
  let from_word = w[((32u * word + bit) * ${taps}u + tap) * ${words}u + input / 32u];
  bits |= ((from_word >> (input % 32u)) & 1u) << bit;
}
signs[index] = bits;`,
  });
}

/** a u32 [n][h][w][signWords(in)] → signs u32 [h][w][in]: bit `sample`. */
export function activationsAlongSamples(s: WindowShape): Kernel {
  const words = signWords(s.in);
  return kernel({
    label: "int8 activations along samples",
    storage: [read("a", "u32"), readWrite("signs", "u32")],
    items: s.h * s.w * s.in,
    body: `
let input = index % ${s.in}u;
let position = index / ${s.in}u;
var bits = 0u;
for (var sample = 0u; sample < ${s.n}u; sample++) {
  let word = a[(sample * ${s.h * s.w}u + position) * ${words}u + input / 32u];
  bits |= ((word >> (input % 32u)) & 1u) << sample;
}
signs[index] = bits;`,
  });
}

/** signs [h][w][in] of activationsAlongSamples → stacked u32 [h + 2][w][in]: rows y − 1 … y + 2 in one word, 0 outside the image. */
export function stackedRows(s: WindowShape): Kernel {
  return kernel({
    label: "int8 stacked rows",
    storage: [read("signs", "u32"), readWrite("stacked", "u32")],
    items: (s.h + 2) * s.w * s.in,
    body: `
let rest = index % ${s.w * s.in}u;
let top = index / ${s.w * s.in}u;
var bits = 0u;
for (var r = 0u; r < ${ROWS_A_WORD}u; r++) {
  let row = top + r - 1u;
  if (row < ${s.h}u) { bits |= signs[row * ${s.w * s.in}u + rest] << (r * ${s.n}u); }
}
stacked[index] = bits;`,
  });
}
