// A correlation's sums in registers, a tile an invocation.

import { accumulators, multiplyAdd, storeTile } from "../../product/gemm.ts";
import { ANY_TILE, pickTile, type Tile, type TileSpace } from "../../product/tile-space.ts";
import { tiledKernel } from "../../product/tiled-kernel.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { range } from "../../text/range.ts";
import type { CorrelationPass } from "../pass/correlation.ts";
import { correlationLabel, correlationSums } from "./correlation-sums.ts";

/** Rows are places, columns channels; a response has one column. */
export function correlationTiles(pass: CorrelationPass): TileSpace {
  return { extent: correlationSums(pass).extent, sizes: ANY_TILE };
}

/** Bindings x, z, y; dy, z, dx; or dy, x, dz. Declares `place_row`, `s`, `a_row`, `b_quad`. */
export function registerCorrelation(pass: CorrelationPass, wanted: Tile): KernelSequence {
  const { steps, extent, declarations, storage, constants, write } = correlationSums(pass);
  const tile = pickTile(correlationTiles(pass), wanted);
  const rows = {
    load: range(tile.rows)
      .map((i) => `let a_${i} = row_at(outer, place_${i}, s);`)
      .join("\n"),
    at: (i: number) => `a_${i}`,
  };
  const column = (j: number) => `column_at(outer, column0 + ${j}u, s)`;
  const quad = (q: number) => `vec4<f32>(${range(4).map((l) => column(4 * q + l))})`;
  const columns = {
    load: range(tile.columns / 4)
      .map((q) => `let b_${q} = ${extent.columns === 1 ? `vec4<f32>(${column(0)}, 0.0, 0.0, 0.0)` : quad(q)};`)
      .join("\n"),
    at: (q: number) => `b_${q}`,
  };
  const main = tiledKernel({
    label: correlationLabel(pass),
    constants,
    declarations,
    storage,
    tile,
    extent,
    body: `
${range(tile.rows)
  .map((i) => `let place_${i} = place_of(row0 + ${i}u);`)
  .join("\n")}
${accumulators(tile)}
for (var s0 = 0u; s0 < ${steps[0]}u; s0++) {
for (var s1 = 0u; s1 < ${steps[1]}u; s1++) {
for (var s2 = 0u; s2 < ${steps[2]}u; s2++) {
let s = vec3<u32>(s0, s1, s2);
${multiplyAdd(tile, 1, rows, columns)}
}
}
}
${storeTile({
  tile,
  extent,
  width: 1,
  rowAddress: (row) => `(outer * ${extent.rows}u + ${row}) * ${extent.columns}u`,
  value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  write,
})}`,
  });
  return { kernels: [main], scratchBytes: 0 };
}
