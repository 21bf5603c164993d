// dw of a convolution: a small result summed over every position, so the sum is cut into slices that are added in
// order.
import { groupCount, type WindowShape } from "../../../shared/model/window.ts";
import type { ActivationColumns } from "../../product/activation-columns.ts";
import { accumulators, multiplyAdd, type Rows, storeTile } from "../../product/gemm.ts";
import { elementOffsets, type Floats } from "../../product/operands.ts";
import { rowsAcrossTile } from "../../product/rows-across-tile.ts";
import { pickTile, type Tile, type TileSpace } from "../../product/tile-space.ts";
import { tiledKernel } from "../../product/tiled-kernel.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { atGroup, describeWindow, foldPositions, windowConstants, windowGroups } from "../../text/window-loops.ts";
import { addSlices, weightGradientSlices } from "./weight-gradient-slices.ts";
import { eachTurn } from "./weight-gradient-turns.ts";

/** Of eight samples written out: beyond, the code of a turn outgrows the instruction cache of a software adapter. */
const MOST_SUMS = 128;

/** How dw may be tiled: rows are outputs, read by fours; columns are inputs of one tap, or (tap, input) pairs. */
export function weightGradientTiles(
  shape: WindowShape,
  x: Pick<ActivationColumns, "perTap" | "tileColumns" | "columnCost">,
): TileSpace {
  const taps = shape.kernel * shape.kernel;
  const { slices } = weightGradientSlices(shape, x.perTap);
  const columns = x.perTap ? shape.in : taps * shape.in;
  return {
    extent: { rows: shape.out, columns, outer: (x.perTap ? taps : 1) * slices, ...windowGroups(shape) },
    sizes: { rows: [4, 8, 12], columns: x.tileColumns, rowMultiple: 4 },
    mostSums: MOST_SUMS,
    columnCost: x.columnCost,
    quads: vectorWidth(shape.out) === 4,
  };
}

/**
 * dy of `depth` samples, at loads `dy_base_k`; 0 of a sample that is not `present_k`. Reads `r_quad`; declares `g_…`.
 */
function dyRows(source: Floats, tile: Tile, depth: number, whole: boolean): Rows {
  const present = whole ? {} : { present: (k: number) => `present_${k}` };
  return rowsAcrossTile({ source, tile, offsets: "r", base: (k) => `dy_base_${k}`, depth, ...present });
}

/**
 * Bindings dy f32 [n][oh][ow][out], the activations, dw f32 [out][kh][kw][in] (by scratch where the sum is sliced).
 * Declares for the activations `group`, `slice`, `ky`, `kx`, `r_i`, and what eachTurn declares.
 */
export function weightGradient(label: string, shape: WindowShape, x: ActivationColumns, wanted?: Tile): KernelSequence {
  const s = foldPositions(shape);
  const taps = s.kernel * s.kernel;
  const size = s.out * taps * s.in;
  const all = size * groupCount(s);
  const dy: Floats = { name: "dy", width: vectorWidth(s.out) };
  const groups = x.perTap ? taps : 1;
  const { samples, blocks, length, slices } = weightGradientSlices(s, x.perTap);
  const tile = pickTile(weightGradientTiles(s, x), wanted);
  const { extent } = weightGradientTiles(s, x);
  const whole = s.n % samples === 0;
  const target = slices === 1 ? "dw" : "scratch";
  const width = vectorWidth(extent.columns);
  const main = tiledKernel({
    label: `${label} ${describeWindow(s)}`,
    constants: {
      ...windowConstants(s),
      BLOCKS: blocks,
      LENGTH: length,
      DY_STRIDE: s.out / dy.width,
    },
    storage: [read("dy", vectorType(dy.width)), x.storage, readWrite(target, vectorType(width))],
    tile,
    extent,
    body: `let group = outer % ${groups}u;
let slice = outer / ${groups}u;
let ky = group / KERNEL;
let kx = group % KERNEL;
${elementOffsets({ prefix: "r", source: dy, first: "row0", count: tile.rows, limit: s.out })}
${x.setup(tile, s)}
${accumulators(tile)}
${eachTurn({
  samples,
  whole,
  gather: !x.perTap,
  shape: s,
  atPosition: x.atPosition?.(tile) ?? "",
  statements: (depth) => multiplyAdd(tile, depth, dyRows(dy, tile, depth, whole), x.columns(tile, s, depth)),
})}
${storeTile({
  tile,
  extent,
  width,
  rowAddress: (row) =>
    `${slices === 1 ? "" : `slice * ${all}u + `}${row} * ${taps * s.in}u${x.perTap ? " + group * IN" : ""}${atGroup(s, size)}`,
  value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  write: (at, value) => `${target}[${at}] = ${value};`,
})}`,
  });
  if (slices === 1) return { kernels: [main], scratchBytes: 0 };
  return { kernels: [main, addSlices(label, all, slices)], scratchBytes: 4 * all * slices };
}
