// dx of a 1-bit layer from int8 gradients: Σ over taps of C·(an exact integer), in the tiles of the product's kernels.
import { surrogateDerivative } from "../../../kernels/convolution/registers/binary-conv.ts";
import { accumulators, eachQuad, locateTile, storeTile } from "../../../kernels/product/gemm.ts";
import { lineOffsets } from "../../../kernels/product/operands.ts";
import { type Tile, tileCount, tileWorkgroup } from "../../../kernels/product/tile-space.ts";
import { kernel, read, readWrite, type Storage } from "../../../kernels/text/dispatch.ts";
import type { Kernel } from "../../../kernels/text/kernel.ts";
import { range } from "../../../kernels/text/range.ts";
import { unrolledLoop } from "../../../kernels/text/unroll.ts";
import { describeWindow, eachInputTap, windowConstants } from "../../../kernels/text/window-loops.ts";
import { outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import { type Counter, eachPlaneCount } from "./counters.ts";

interface Way {
  readonly label: string;
  readonly storage: readonly Storage[];
  /** Loads of dy a pixel. */
  readonly pixelLoads: number;
  /** Adds a tap's integer to `count_row_quad`; `pixel_i` is row i's address, `column_j` that of column j's sign words. */
  readonly atTap: string;
}

function inputGradient(s: WindowShape, tile: Tile, way: Way): Kernel {
  const extent = { rows: s.n, columns: s.in, outer: s.h * s.w };
  const items = tileCount(tile, extent);
  const positions = outputHeight(s) * outputWidth(s);
  const words = s.out / 32;
  return kernel({
    label: `int8 dx ${way.label} ${describeWindow(s)}`,
    constants: windowConstants(s),
    declarations: `fn derivative(v: vec4<f32>) -> vec4<f32> { return ${surrogateDerivative("bireal", "vec4<f32>")}; }`,
    storage: [
      ...way.storage,
      read("signs", "u32"),
      read("c"),
      read("scale"),
      read("x", "vec4<f32>"),
      readWrite("dx", "vec4<f32>"),
    ],
    items,
    workgroupSize: tileWorkgroup(items),
    body: `
${locateTile(tile, extent)}
let ih = outer / W;
let iw = outer % W;
${lineOffsets({ prefix: "r", first: "row0", count: tile.rows, limit: s.n, stride: positions })}
${lineOffsets({ prefix: "c", first: "column0", count: tile.columns, limit: s.in, stride: words })}
${accumulators(tile)}
${eachInputTap(`
${range(tile.rows)
  .map((i) => `let pixel_${i} = (r_${i} + pixel) * ${way.pixelLoads}u;`)
  .join("\n")}
${range(tile.columns)
  .map((j) => `let column_${j} = tap * ${s.in * words}u + c_${j};`)
  .join("\n")}
${accumulators(tile, "count", "vec4<i32>")}
${way.atTap}
let tap_scale = c[tap];
${eachQuad(tile, (i, q) => `sum_${i}_${q} += tap_scale * vec4<f32>(count_${i}_${q});`)}`)}
${storeTile({
  tile,
  extent,
  width: 4,
  rowAddress: (row) => `(${row} * H * W + outer) * IN`,
  value: (i, q) => `sum_${i}_${q}`,
  write: (at, value) => `{ let to = ${at}; dx[to] = scale[0] * ${value} * derivative(x[to]); }`,
})}`,
  });
}

/** Bindings bytes (bytesAlongChannels), signs (weightsAlongOutputs), c f32 [9], scale, x, dx f32 [n][h][w][in]. */
export function dotInputGradient(s: WindowShape, tile: Tile): Kernel {
  // A nibble of sign bits becomes four bytes: 0x01, or 0xff where the bit is set.
  const nibble = `
let bits = vec4<u32>(4u * k);
${range(tile.columns / 4)
  .map(
    (q) =>
      `let b_${q} = (((((words_${q} >> bits) & vec4<u32>(15u)) * 0x00204081u) & vec4<u32>(0x01010101u)) * 0xfeu) + vec4<u32>(0x01010101u);`,
  )
  .join("\n")}
${range(tile.rows)
  .map((i) => `let a_${i} = bytes[pixel_${i} + 8u * word + k];`)
  .join("\n")}
${eachQuad(tile, (i, q) => `count_${i}_${q} += vec4<i32>(${["x", "y", "z", "w"].map((l) => `dot4I8Packed(a_${i}, b_${q}.${l})`).join(", ")});`)}`;
  return inputGradient(s, tile, {
    label: "dot4I8Packed",
    storage: [read("bytes", "u32")],
    pixelLoads: s.out / 4,
    atTap: `
for (var word = 0u; word < ${s.out / 32}u; word++) {
  ${range(tile.columns / 4)
    .map(
      (q) =>
        `let words_${q} = vec4<u32>(${range(4)
          .map((l) => `signs[column_${4 * q + l} + word]`)
          .join(", ")});`,
    )
    .join("\n")}
  ${unrolledLoop("k", 8, 2, nibble)}
}`,
  });
}

/** Bindings planes and sums (planesAlongChannels), then as dotInputGradient. */
export function serialInputGradient(s: WindowShape, tile: Tile, counter: Counter): Kernel {
  const words = s.out / 32;
  const loadRows = range(tile.rows).map(
    (i) => `
let low_${i} = planes[(pixel_${i} + word) * 2u];
let high_${i} = planes[(pixel_${i} + word) * 2u + 1u];
let total_${i} = sums[pixel_${i} + word];`,
  );
  const loadColumns = range(tile.columns / 4).map(
    (q) => `
let n_${q} = vec4<u32>(${range(4)
      .map((l) => `signs[column_${4 * q + l} + word]`)
      .join(", ")});
let offset_${q} = 256 * vec4<i32>(countOneBits(n_${q}));`,
  );
  const plane = (i: number, b: number) => `${b < 4 ? "low" : "high"}_${i}.${"xyzw"[b % 4]}`;
  return inputGradient(s, tile, {
    label: `bit-serial ${counter}`,
    storage: [read("planes", "vec4<u32>"), read("sums", "i32")],
    pixelLoads: words,
    atTap: `
for (var word = 0u; word < ${words}u; word++) {
  ${loadRows.join("")}
  ${loadColumns.join("")}
  ${eachQuad(tile, (i, q) => {
    const planes = range(8).map((b) => `(vec4<u32>(${plane(i, b)}) & n_${q})`);
    return `{ ${eachPlaneCount(counter, planes)}\ncount_${i}_${q} += vec4<i32>(total_${i}) + offset_${q} - 2 * vec4<i32>(weighted); }`;
  })}
}`,
  });
}
