// dW of a 1-bit layer from int8 gradients: exact integers over every sample and position, then the scale.

import { addSlices } from "../../../kernels/convolution/registers/weight-gradient-slices.ts";
import { declarePlaces } from "../../../kernels/convolution/registers/weight-gradient-turns.ts";
import { accumulators, eachQuad, locateTile, storeTile } from "../../../kernels/product/gemm.ts";
import { type Tile, tileCount, tileWorkgroup } from "../../../kernels/product/tile-space.ts";
import { kernel, read, readWrite, type Storage } from "../../../kernels/text/dispatch.ts";
import type { KernelSequence } from "../../../kernels/text/kernel.ts";
import { range } from "../../../kernels/text/range.ts";
import { describeWindow, windowConstants } from "../../../kernels/text/window-loops.ts";
import type { WindowShape } from "../../../shared/model/window.ts";
import { type Counter, eachPlaneCount } from "./counters.ts";
import { ROWS_A_WORD } from "./quantise.ts";

/** Row blocks of four output rows are slices, as many as there are. */
function slicesOf(s: WindowShape): number {
  return s.h / ROWS_A_WORD;
}

interface Way {
  readonly label: string;
  readonly storage: readonly Storage[];
  /** Binding of the activations' bits, four inputs a load. */
  readonly signs: "signs" | "stacked";
  /** Adds to `sum_row_quad` (vec4<i32>) what slice `slice`, rows row0 …, columns column0 … at tap (ky, kx) sum to. */
  readonly sum: string;
  /** What the sum of rows `row` is before the scale. */
  readonly value: (row: number, quad: number) => string;
}

function weightGradient(s: WindowShape, tile: Tile, way: Way): KernelSequence {
  const taps = s.kernel * s.kernel;
  const slices = slicesOf(s);
  const extent = { rows: s.out, columns: s.in, outer: taps * slices };
  const items = tileCount(tile, extent);
  const size = s.out * taps * s.in;
  const main = kernel({
    label: `int8 dw ${way.label} ${describeWindow(s)}`,
    constants: windowConstants(s),
    storage: [...way.storage, read(way.signs, "vec4<u32>"), read("scale"), readWrite("scratch", "vec4<f32>")],
    items,
    workgroupSize: tileWorkgroup(items),
    body: `
${locateTile(tile, extent)}
let group = outer % ${taps}u;
let slice = outer / ${taps}u;
let ky = group / KERNEL;
let kx = group % KERNEL;
${declarePlaces(false)}
${accumulators(tile, "sum", "vec4<i32>")}
${way.sum}
${storeTile({
  tile,
  extent,
  width: 4,
  rowAddress: (row) => `slice * ${size}u + ${row} * ${taps * s.in}u + group * IN`,
  value: way.value,
  write: (at, value) => `scratch[${at}] = scale[0] * vec4<f32>(${value});`,
})}`,
  });
  return { kernels: [main, addSlices("int8 dw", size, slices)], scratchBytes: 4 * size * slices };
}

/** Bindings bytes (bytesAlongSamples), signs (activationsAlongSamples), scale, scratch, dw f32 [out][3][3][in]. */
export function dotWeightGradient(s: WindowShape, tile: Tile): KernelSequence {
  const rows = range(tile.rows / 4);
  const columns = range(tile.columns / 4);
  const group = (g: number) => `{
${rows.map((q) => `let a_${q} = bytes[((oy * OW + ox) * ${s.n / 4}u + ${g}u) * ${s.out / 4}u + row0 / 4u + ${q}u];`).join("\n")}
${columns
  .map(
    (q) =>
      `let b_${q} = (((((n_${q} >> vec4<u32>(${4 * g}u)) & vec4<u32>(15u)) * 0x00204081u) & vec4<u32>(0x01010101u)) * 0xfeu) + vec4<u32>(0x01010101u);`,
  )
  .join("\n")}
${eachQuad(tile, (i, q) => `sum_${i}_${q} += vec4<i32>(${["x", "y", "z", "w"].map((l) => `dot4I8Packed(a_${i >> 2}.${"xyzw"[i & 3]}, b_${q}.${l})`).join(", ")});`)}
}`;
  return weightGradient(s, tile, {
    label: "dot4I8Packed",
    storage: [read("bytes", "vec4<u32>")],
    signs: "signs",
    sum: `
for (var oy = max(oy_first, ${ROWS_A_WORD}u * slice); oy < min(oy_first + height, ${ROWS_A_WORD}u * (slice + 1u)); oy++) {
  for (var ox = ox_first; ox < ox_first + width; ox++) {
    let pixel = ((oy + ky - PADDING) * W + ox + kx - PADDING) * IN + column0;
    ${columns.map((q) => `let n_${q} = signs[pixel / 4u + ${q}u];`).join("\n")}
    ${range(s.n / 4)
      .map(group)
      .join("\n")}
  }
}`,
    value: (i, q) => `sum_${i}_${q}`,
  });
}

/** Bindings planes (planesAlongSamples), sums (tapSums), stacked (stackedRows), scale, scratch, dw. */
export function serialWeightGradient(s: WindowShape, tile: Tile, counter: Counter): KernelSequence {
  const columns = range(tile.columns / 4);
  const load = range(tile.rows / 4).flatMap((q) =>
    range(8).map((b) => `let p_${q}_${b} = planes[base + ${(b * s.out) / 4 + q}u];`),
  );
  return weightGradient(s, tile, {
    label: `bit-serial ${counter}`,
    storage: [read("planes", "vec4<u32>"), read("sums", "i32")],
    signs: "stacked",
    sum: `
for (var ox = ox_first; ox < ox_first + width; ox++) {
  let base = (slice * OW + ox) * ${(8 * s.out) / 4}u + row0 / 4u;
  let pixel = ((${ROWS_A_WORD}u * slice + ky) * W + ox + kx - PADDING) * IN + column0;
  ${load.join("\n")}
  ${columns
    .map(
      (q) => `
let n_${q} = stacked[pixel / 4u + ${q}u];
let offset_${q} = 128 * vec4<i32>(countOneBits(n_${q}));`,
    )
    .join("\n")}
  ${eachQuad(tile, (i, q) => {
    const planes = range(8).map((b) => `(vec4<u32>(p_${i >> 2}_${b}.${"xyzw"[i & 3]}) & n_${q})`);
    return `{ ${eachPlaneCount(counter, planes)}\nsum_${i}_${q} += vec4<i32>(weighted) - offset_${q}; }`;
  })}
}`,
    value: (i, q) =>
      `(vec4<i32>(sums[(slice * ${s.kernel * s.kernel}u + group) * OUT + row0 + ${i}u]) - 2 * sum_${i}_${q})`,
  });
}
