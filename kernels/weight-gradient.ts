// dw of a convolution: a small result summed over every position, so the sum is cut into slices that are added in order.
import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import type { ActivationColumns } from "./activation-columns.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import {
  accumulators,
  type Extent,
  LANES,
  locateTile,
  multiplyAdd,
  pickTile,
  type Rows,
  storeTile,
  type Tile,
  tileCount,
  tileWorkgroup,
} from "./gemm.ts";
import type { Kernel, KernelSequence } from "./kernel.ts";
import { acrossTile, elementOffsets, type Floats } from "./operands.ts";
import { range } from "./range.ts";
import { describeWindow, eachTurn, foldPositions, windowConstants } from "./window-loops.ts";

/** Samples of one turn of the position loop, all at the same position: at most 8, with the least left over. */
function samplesATurn(n: number, tile: Tile): number {
  const most = tile.rows * tile.columns <= 96 ? 8 : 4;
  const padded = (samples: number) => Math.ceil(n / samples) * samples;
  const sizes = range(most + 1).filter((samples) => samples >= Math.min(n, most / 2));
  return sizes.reduceRight((best, samples) => (padded(samples) < padded(best) ? samples : best), most);
}

/** Slices of the sum over `turns` that keep many cores at work, each long enough to repay its partial result. */
function slicesOf(turns: number, tiles: number): { readonly slices: number; readonly length: number } {
  const wanted = Math.max(1, Math.min(Math.ceil(1024 / tiles), Math.ceil(turns / 16)));
  const length = Math.ceil(turns / wanted);
  return { slices: Math.ceil(turns / length), length };
}

/** scratch [slices][size] → dw [size], added in order. */
function addSlices(label: string, size: number, slices: number): Kernel {
  const width = vectorWidth(size);
  const type = vectorType(width);
  return kernel({
    label: `${label} add ${slices}x${size}`,
    constants: { SIZE: size / width, SLICES: slices },
    storage: [read("scratch", type), readWrite("dw", type)],
    items: size / width,
    body: `
var total = ${type}();
for (var i = 0u; i < SLICES; i++) { total += scratch[i * SIZE + index]; }
dw[index] = total;`,
  });
}

/** Bindings dy f32 [n][oh][ow][out], the activations, dw f32 [out][kh][kw][in] (by scratch where the sum is sliced). */
export function weightGradient(label: string, shape: WindowShape, x: ActivationColumns): KernelSequence {
  const s = foldPositions(shape);
  const taps = s.kernel * s.kernel;
  const size = s.out * taps * s.in;
  const dy: Floats = { name: "dy", width: vectorWidth(s.out) };
  const product = (outer: number): Extent => ({ rows: s.out, columns: x.perTap ? s.in : taps * s.in, outer });
  const groups = x.perTap ? taps : 1;
  const positions = outputHeight(s) * outputWidth(s);
  // Slices, not small tiles, make the parallel work: a tile is picked as if there were enough of them.
  const tile = pickTile(product(groups * Math.ceil((s.n * positions) / 128)), {
    rows: [4, 8, 12],
    columns: x.tileColumns,
  });
  const samples = samplesATurn(s.n, tile);
  const blocks = Math.ceil(s.n / samples);
  const turns = positions * blocks;
  const { slices, length } = slicesOf(turns, tileCount(tile, product(groups)));
  const extent = product(groups * slices);
  const items = tileCount(tile, extent);
  const target = slices === 1 ? "dw" : "scratch";
  const width = vectorWidth(product(1).columns);
  const dyQuads = acrossTile({
    source: dy,
    prefix: "g",
    offsets: "r",
    count: tile.rows,
    base: "dy_base",
    stride: 0,
    depth: 1,
  });
  const present = range(tile.rows / 4).map((q) => `let p_${q} = select(vec4<f32>(), g_${q}_0, present);`);
  const rows: Rows =
    s.n % samples === 0
      ? { load: dyQuads, at: (i) => `g_${i >> 2}_0.${LANES[i & 3]}` }
      : { load: [dyQuads, ...present].join("\n"), at: (i) => `p_${i >> 2}.${LANES[i & 3]}` };
  const main = kernel({
    label: `${label} ${describeWindow(s)}`,
    constants: { ...windowConstants(s), BLOCKS: blocks, LENGTH: length, DY_STRIDE: s.out / dy.width },
    storage: [read("dy", vectorType(dy.width)), x.storage, readWrite(target, vectorType(width))],
    items,
    workgroupSize: tileWorkgroup(items),
    body: `
${locateTile(tile, extent)}
let group = outer % ${groups}u;
let slice = outer / ${groups}u;
let ky = group / KERNEL;
let kx = group % KERNEL;
${elementOffsets({ prefix: "r", source: dy, first: "row0", count: tile.rows, limit: s.out })}
${x.setup(tile, s)}
${accumulators(tile)}
${eachTurn({
  shape: s,
  samples,
  gather: !x.perTap,
  atPosition: x.atPosition?.(tile) ?? "",
  statements: multiplyAdd(tile, 1, rows, x.columns(tile, s)),
})}
${storeTile({
  tile,
  extent,
  width,
  rowAddress: (row) =>
    `${slices === 1 ? "" : `slice * ${size}u + `}${row} * ${taps * s.in}u${x.perTap ? " + group * IN" : ""}`,
  value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  write: (at, value) => `${target}[${at}] = ${value};`,
})}`,
  });
  if (slices === 1) return { kernels: [main], scratchBytes: 0 };
  return { kernels: [main, addSlices(label, size, slices)], scratchBytes: 4 * size * slices };
}
