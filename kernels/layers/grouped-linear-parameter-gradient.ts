// The gradients of a grouped linear layer's parameters, of every network in one dispatch.

import { accumulators, LANES, multiplyAdd, storeTile } from "../product/gemm.ts";
import { acrossTile, elementOffsets, type Floats } from "../product/operands.ts";
import { rowsAcrossTile } from "../product/rows-across-tile.ts";
import { ANY_TILE } from "../product/tile-space.ts";
import { tiledKernel } from "../product/tiled-kernel.ts";
import { read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";
import { describeGrouped, type GroupedLinear, memberStride, productTile } from "./grouped-linear.ts";

/** At most 4 rows at once, a divisor of n. */
function rowsATurn(n: number): number {
  return [4, 3, 2].find((rows) => n % rows === 0) ?? 1;
}

/**
 * dW = Σ dyᵀ·x and db = Σ dy over the rows of members 0 and 1, in order. Bindings dy f32 [groups][2][n][out], x f32
 * [groups][2][n][in], gradient: an f32 range that holds, every `stride` elements, a group's dW [out][in] at `weight`
 * and its db [out] at `bias` (all multiples of 4).
 */
export function groupedLinearParameterGradient(
  o: GroupedLinear & {
    readonly stride: number;
    readonly weight: number;
    readonly bias: number;
  },
): Kernel {
  const dy: Floats = { name: "dy", width: vectorWidth(o.out) };
  const x: Floats = { name: "x", width: vectorWidth(o.in) };
  const width = vectorWidth(o.in, o.out);
  const extent = { rows: o.out, columns: o.in, outer: o.groups };
  const sizes = { rows: [4, 8, 12], columns: ANY_TILE.columns };
  const tile = productTile(o, { extent, sizes, quads: o.quads === true && dy.width === 4 });
  const quads = range(tile.rows / 4);
  const depth = rowsATurn(o.n);
  const base = (name: string, of: Floats, length: number) => (k: number) =>
    `(${name}_member + (row + ${k}u) * ${length / of.width}u)`;
  const g = rowsAcrossTile({ source: dy, tile, offsets: "r", base: base("dy", dy, o.out), depth });
  const product = multiplyAdd(tile, depth, g, {
    load: acrossTile({ source: x, prefix: "b", offsets: "c", count: tile.columns, base: base("x", x, o.in), depth }),
    at: (q, k) => `b_${q}_${k}`,
  });
  const quadAt = (q: number, k: number) => `vec4<f32>(${LANES.map((_, l) => g.at(4 * q + l, k)).join(", ")})`;
  const biases = quads.map(
    (q) =>
      `bias_${q} += ${range(depth)
        .map((k) => quadAt(q, k))
        .join(" + ")};`,
  );
  const lanes = width === 4 ? [""] : LANES.map((lane) => `.${lane}`);
  const storeBias = quads.flatMap((q) =>
    lanes.map((lane, l) => {
      const row = `(row0 + ${4 * q + l}u)`;
      return `if ((column0 == 0u) & (${row} < ${o.out}u)) { gradient[(base + ${o.bias}u + ${row}) / ${width}u] = bias_${q}${lane}; }`;
    }),
  );
  return tiledKernel({
    label: `groupedLinearParameterGradient ${describeGrouped(o, 2)}`,
    storage: [
      read("dy", vectorType(dy.width)),
      read("x", vectorType(x.width)),
      readWrite("gradient", vectorType(width)),
    ],
    tile,
    extent,
    body: `let base = outer * ${o.stride}u;
${elementOffsets({ prefix: "r", source: dy, first: "row0", count: tile.rows, limit: o.out })}
${elementOffsets({ prefix: "c", source: x, first: "column0", count: tile.columns, limit: o.in })}
${accumulators(tile)}
${quads.map((q) => `var bias_${q} = vec4<f32>();`).join("\n")}
for (var member = 0u; member < 2u; member++) {
  let dy_member = (outer * 2u + member) * ${memberStride(o.n, o.out) / dy.width}u;
  let x_member = (outer * 2u + member) * ${memberStride(o.n, o.in) / x.width}u;
  for (var row = 0u; row < ${o.n}u; row += ${depth}u) {
${product}
${biases.join("\n")}
  }
}
${storeTile({
  tile,
  extent,
  width,
  rowAddress: (row) => `base + ${o.weight}u + ${row} * ${o.in}u`,
  value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  write: (at, value) => `gradient[${at}] = ${value};`,
})}
${storeBias.join("\n")}`,
  });
}
