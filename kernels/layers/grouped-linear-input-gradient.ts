// What goes back through a grouped linear layer: to the layer below, or to the maps of the student.

import { accumulators, multiplyAdd, storeTile } from "../product/gemm.ts";
import { acrossTile, elementOffsets, type Floats, lineOffsets, rowsAlongSum } from "../product/operands.ts";
import { ANY_TILE, tileStep } from "../product/tile-space.ts";
import { tiledKernel } from "../product/tiled-kernel.ts";
import { read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";
import { unrolledLoop, unrollFactor } from "../text/unroll.ts";
import { describeGrouped, type GroupedLinear, LEAKY, memberStride, productTile } from "./grouped-linear.ts";

/**
 * dx = dy·W. To a hidden layer of both members, times LeakyReLU's derivative at `activated`, what that layer put out.
 * To the maps of member 1 alone, the student's, each row times its `turn`. Bindings dy f32 [groups][2][n][out], w as in
 * the forward, activated f32 [groups][2][n][in] or turn f32 [groups][n], dx f32 [groups][2][n][in] or [groups][n][in].
 */
export function groupedLinearInputGradient(
  o: GroupedLinear & { readonly weightStride: number; readonly to: "hidden" | "maps" },
): Kernel {
  const hidden = o.to === "hidden";
  const width = vectorWidth(o.in);
  const depth = vectorWidth(o.out);
  const extent = { rows: o.n, columns: o.in, outer: hidden ? 2 * o.groups : o.groups };
  const tile = productTile(o, { extent, sizes: ANY_TILE, quads: o.quads === true && depth === 4 });
  const steps = o.out / depth;
  const dy: Floats = { name: "dy", width: depth };
  const w: Floats = { name: "w", width };
  const base = (k: number) => `(w_base + i * W_STEP) + ${(k * o.in) / width}u`;
  const product = multiplyAdd(tile, depth, rowsAlongSum({ source: dy, tile, offsets: "r", base: "dy_base + i" }), {
    load: acrossTile({ source: w, prefix: "b", offsets: "c", count: tile.columns, base, depth }),
    at: (q, k) => `b_${q}_${k}`,
  });
  const type = vectorType(width);
  const stride = memberStride(o.n, o.in);
  const turn = (i: number) =>
    `let turn_${i} = turn[outer * ${memberStride(o.n, 1)}u + min(row0 + ${i}u, ${o.n - 1}u)];`;
  return tiledKernel({
    label: `groupedLinearInputGradient ${describeGrouped(o, hidden ? 2 : 1)}`,
    constants: { W_STEP: (depth * o.in) / width },
    floats: LEAKY,
    storage: [
      read("dy", vectorType(depth)),
      read("w", type),
      hidden ? read("activated", type) : read("turn"),
      readWrite("dx", type),
    ],
    tile,
    extent,
    body: `let dy_base = ${hidden ? "outer" : "(2u * outer + 1u)"} * ${memberStride(o.n, o.out) / depth}u;
let w_base = ${hidden ? "outer / 2u" : "outer"} * ${o.weightStride / width}u;
let dx_base = outer * ${stride / width}u;
${lineOffsets({ prefix: "r", first: "row0", count: tile.rows, limit: o.n, stride: steps })}
${elementOffsets({ prefix: "c", source: w, first: "column0", count: tile.columns, limit: o.in })}
${accumulators(tile)}
${unrolledLoop("i", steps, unrollFactor(steps, tileStep(tile, depth)), product)}
${hidden ? "" : range(tile.rows).map(turn).join("\n")}
${storeTile({
  tile,
  extent,
  width,
  rowAddress: (row) => `${row} * ${o.in}u`,
  value: (i, q, lane) => `${hidden ? "" : `turn_${i} * `}sum_${i}_${q}${lane}`,
  write: (at, value) =>
    hidden
      ? `{ let at = dx_base + ${at}; let v = ${value}; dx[at] = select(SLOPE * v, v, activated[at] > ${type}()); }`
      : `dx[dx_base + ${at}] = ${value};`,
})}`,
  });
}
