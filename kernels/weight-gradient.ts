// dw of a convolution: a small result summed over every position, so the sum is cut into slices that are added in order.
import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import { kernel, read, readWrite, type Storage, vectorType, vectorWidth } from "./dispatch.ts";
import {
  accumulators,
  type Columns,
  type Extent,
  locateTile,
  multiplyAdd,
  pickTile,
  storeTile,
  type Tile,
} from "./gemm.ts";
import type { Kernel, KernelSequence } from "./kernel.ts";
import { acrossTile, elementOffsets, type Floats } from "./operands.ts";
import { describeWindow, isPointwise, windowConstants } from "./window-loops.ts";

/** The activation side of the product: how the columns (tap, input) are numbered and read. */
export interface ActivationColumns {
  readonly storage: Storage;
  /** Columns of the result, and whether a tile keeps to one tap (then `columns` counts one tap's inputs). */
  readonly perTap: boolean;
  readonly tileColumns: readonly number[];
  /** Statements before the position loop; `column0` and, per tap, `ky`, `kx` are known. */
  readonly setup: (tile: Tile, shape: WindowShape) => string;
  /** Values at the input pixel whose number is `pixel`; without perTap `y0`, `x0` are its coordinates, unpadded. */
  readonly columns: (tile: Tile, shape: WindowShape) => Columns;
}

/** One image line as long as there are positions, where a window sees no neighbours: the position loop stays inside a line. */
function flatten(s: WindowShape): WindowShape {
  return isPointwise(s) ? { ...s, n: 1, h: 1, w: s.n * s.h * s.w } : s;
}

/** Slices of the sum over `positions` that keep many cores at work, each long enough to repay its partial result. */
function slicesOf(positions: number, tiles: number): { readonly slices: number; readonly length: number } {
  const wanted = Math.max(1, Math.min(Math.ceil(1024 / tiles), Math.ceil(positions / 128)));
  const length = Math.ceil(positions / wanted);
  return { slices: Math.ceil(positions / length), length };
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

/** The positions of one output line from ox_start to ox_end; per tap only those whose pixel lies in the image. */
function eachPosition(perTap: boolean, statements: string): string {
  if (!perTap) {
    return `
let y0 = oy * STRIDE - PADDING;
for (var ox = ox_start; ox < ox_end; ox++) {
  let dy_base = (position + ox - ox_start) * DY_STRIDE;
  let x0 = ox * STRIDE - PADDING;
  let pixel = (sample * H + y0) * W + x0;
  ${statements}
}`;
  }
  return `
let iy = oy * STRIDE + ky - PADDING;
if (iy < H) {
  let ox_last = min(ox_end, (W + PADDING - min(kx, W + PADDING) + STRIDE - 1u) / STRIDE);
  for (var ox = max(ox_start, (max(PADDING, kx) - kx + STRIDE - 1u) / STRIDE); ox < ox_last; ox++) {
    let dy_base = (position + ox - ox_start) * DY_STRIDE;
    let pixel = (sample * H + iy) * W + ox * STRIDE + kx - PADDING;
    ${statements}
  }
}`;
}

/** Bindings dy f32 [n][oh][ow][out], the activations, dw f32 [out][kh][kw][in] (by scratch where the sum is sliced). */
export function weightGradient(label: string, shape: WindowShape, x: ActivationColumns): KernelSequence {
  const s = flatten(shape);
  const taps = s.kernel * s.kernel;
  const positions = s.n * outputHeight(s) * outputWidth(s);
  const size = s.out * taps * s.in;
  const dy: Floats = { name: "dy", width: vectorWidth(s.out) };
  const product = (outer: number): Extent => ({ rows: s.out, columns: x.perTap ? s.in : taps * s.in, outer });
  const groups = x.perTap ? taps : 1;
  // Slices, not tiles, make the parallel work: tiles are picked as if there were enough.
  const tile = pickTile(product(groups * Math.ceil(positions / 128)), { rows: [4, 8], columns: x.tileColumns });
  const tiles = Math.ceil(s.out / tile.rows) * Math.ceil(product(1).columns / tile.columns) * groups;
  const { slices, length } = slicesOf(positions, tiles);
  const extent = product(groups * slices);
  const target = slices === 1 ? "dw" : "scratch";
  const width = vectorWidth(product(1).columns);
  const main = kernel({
    label: `${label} ${describeWindow(s)}`,
    constants: { ...windowConstants(s), POSITIONS: positions, LENGTH: length, DY_STRIDE: s.out / dy.width },
    storage: [read("dy", vectorType(dy.width)), x.storage, readWrite(target, vectorType(width))],
    items: tiles * slices,
    body: `
${locateTile(tile, extent)}
let group = outer % ${groups}u;
let slice = outer / ${groups}u;
let ky = group / KERNEL;
let kx = group % KERNEL;
${elementOffsets({ prefix: "r", source: dy, first: "row0", count: tile.rows, limit: s.out })}
${x.setup(tile, s)}
${accumulators(tile)}
var position = slice * LENGTH;
let end = min(POSITIONS, position + LENGTH);
while (position < end) {
  let ox_start = position % OW;
  let line = position / OW;
  let ox_end = min(OW, ox_start + end - position);
  let oy = line % OH;
  let sample = line / OH;
  ${eachPosition(
    x.perTap,
    `${acrossTile({ source: dy, prefix: "g", offsets: "r", count: tile.rows, base: "dy_base", stride: 0, depth: 1 })}
${multiplyAdd(tile, 1, { load: "", at: (i) => `g_${i >> 2}_0.${"xyzw"[i & 3]}` }, x.columns(tile, s))}`,
  )}
  position += ox_end - ox_start;
}
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
