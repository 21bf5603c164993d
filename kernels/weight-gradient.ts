// dw of a convolution: a small result summed over every position, so the sum is cut into slices that are added in order.
import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import type { ActivationColumns } from "./activation-columns.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import {
  accumulators,
  LANES,
  locateTile,
  multiplyAdd,
  pickTile,
  type Rows,
  storeTile,
  type Tile,
  type TileSpace,
  tileCount,
  tileWorkgroup,
} from "./gemm.ts";
import type { Kernel, KernelSequence } from "./kernel.ts";
import { acrossTile, elementOffsets, type Floats } from "./operands.ts";
import { range } from "./range.ts";
import { describeWindow, eachTurn, foldPositions, windowConstants } from "./window-loops.ts";

/**
 * How the sum of a weight gradient is cut, by the shape alone, so that every tiling adds in the same order. A turn is a pair
 * (place, block): `places` are output positions, row-major, and `samples` consecutive samples make a block. Turn t is place
 * ⌊t / blocks⌋ and block t mod blocks, which begins with sample `samples`·(t mod blocks). Slice i sums turns
 * [i·length, (i + 1)·length) in order, samples ascending in each; slices are added in ascending order. Per tap only the places
 * that `declarePlaces` numbers exist, so the last slices of a tap at the border may be short or empty.
 */
export interface WeightGradientSlices {
  /** Samples of a block; the last block of a place may lack some. */
  readonly samples: number;
  /** Blocks of a place: ⌈n / samples⌉. */
  readonly blocks: number;
  /** Turns of a slice. */
  readonly length: number;
  readonly slices: number;
}

/** At most 8, with the least left over. */
function samplesABlock(n: number): number {
  const padded = (samples: number) => Math.ceil(n / samples) * samples;
  const sizes = range(9).filter((samples) => samples >= Math.min(n, 4));
  return sizes.reduceRight((best, samples) => (padded(samples) < padded(best) ? samples : best), 8);
}

/** Enough slices to occupy a GPU with workgroups of 64 × 64 sums, each long enough to repay its partial result. */
export function weightGradientSlices(shape: WindowShape, perTap: boolean): WeightGradientSlices {
  const s = foldPositions(shape);
  const taps = s.kernel * s.kernel;
  const samples = samplesABlock(s.n);
  const blocks = Math.ceil(s.n / samples);
  const turns = outputHeight(s) * outputWidth(s) * blocks;
  const columns = perTap ? s.in : taps * s.in;
  const squares = Math.ceil(s.out / 64) * Math.ceil(columns / 64) * (perTap ? taps : 1);
  const wanted = Math.max(1, Math.min(Math.ceil(128 / squares), Math.ceil(turns / 16)));
  const length = Math.ceil(turns / wanted);
  return { samples, blocks, length, slices: Math.ceil(turns / length) };
}

/** scratch [slices][size] → dw [size], added in order. */
export function addSlices(label: string, size: number, slices: number): Kernel {
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
    extent: { rows: shape.out, columns, outer: (x.perTap ? taps : 1) * slices },
    sizes: { rows: [4, 8, 12], columns: x.tileColumns, rowMultiple: 4 },
    mostSums: MOST_SUMS,
    columnCost: x.columnCost,
  };
}

/** dy of `depth` samples, at loads `dy_base_k`; 0 of a sample that is not `present_k`. */
function dyRows(dy: Floats, rows: number, depth: number, whole: boolean): Rows {
  const load = acrossTile({ source: dy, prefix: "g", offsets: "r", count: rows, base: (k) => `dy_base_${k}`, depth });
  if (whole) return { load, at: (i, k) => `g_${i >> 2}_${k}.${LANES[i & 3]}` };
  const present = range(depth).flatMap((k) =>
    range(rows / 4).map((q) => `let p_${q}_${k} = select(vec4<f32>(), g_${q}_${k}, present_${k});`),
  );
  return { load: [load, ...present].join("\n"), at: (i, k) => `p_${i >> 2}_${k}.${LANES[i & 3]}` };
}

/** Bindings dy f32 [n][oh][ow][out], the activations, dw f32 [out][kh][kw][in] (by scratch where the sum is sliced). */
export function weightGradient(label: string, shape: WindowShape, x: ActivationColumns, wanted?: Tile): KernelSequence {
  const s = foldPositions(shape);
  const taps = s.kernel * s.kernel;
  const size = s.out * taps * s.in;
  const dy: Floats = { name: "dy", width: vectorWidth(s.out) };
  const groups = x.perTap ? taps : 1;
  const { samples, blocks, length, slices } = weightGradientSlices(s, x.perTap);
  const tile = pickTile(weightGradientTiles(s, x), wanted);
  const { extent } = weightGradientTiles(s, x);
  const whole = s.n % samples === 0;
  const items = tileCount(tile, extent);
  const target = slices === 1 ? "dw" : "scratch";
  const width = vectorWidth(extent.columns);
  const main = kernel({
    label: `${label} ${describeWindow(s)}`,
    constants: {
      ...windowConstants(s),
      BLOCKS: blocks,
      LENGTH: length,
      DY_STRIDE: s.out / dy.width,
    },
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
  samples,
  whole,
  gather: !x.perTap,
  atPosition: x.atPosition?.(tile) ?? "",
  statements: (depth) => multiplyAdd(tile, depth, dyRows(dy, tile.rows, depth, whole), x.columns(tile, s, depth)),
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
