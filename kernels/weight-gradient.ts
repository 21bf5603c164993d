// dw of a convolution: a small result summed over every position, so the sum is cut into slices that are added in order.
import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import { kernel, read, readWrite, type Storage, vectorType, vectorWidth } from "./dispatch.ts";
import {
  accumulators,
  type Columns,
  type Extent,
  LANES,
  locateTile,
  multiplyAdd,
  pickTile,
  type Rows,
  range,
  storeTile,
  type Tile,
  tileCount,
  tileWorkgroup,
} from "./gemm.ts";
import type { Kernel, KernelSequence } from "./kernel.ts";
import { acrossTile, elementOffsets, type Floats } from "./operands.ts";
import { unrolledLoop } from "./unroll.ts";
import { describeWindow, foldPositions, windowConstants } from "./window-loops.ts";

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

/**
 * A loop over this slice's positions and blocks of samples. Per tap only the positions whose pixel lies in the image are
 * numbered, so nothing is masked there; `gather` numbers all. `dy_base` and `pixel` are those of one sample.
 */
function eachTurn(s: WindowShape, samples: number, gather: boolean, statements: string): string {
  const bounds = gather
    ? "let oy_first = 0u;\nlet ox_first = 0u;\nlet height = OH;\nlet width = OW;"
    : ["y", "x"]
        .map((axis) => {
          const [size, outputs, length] = axis === "y" ? ["H", "OH", "height"] : ["W", "OW", "width"];
          return `
let o${axis}_first = (max(PADDING, k${axis}) - k${axis} + STRIDE - 1u) / STRIDE;
let o${axis}_end = min(${outputs}, (${size} + PADDING - min(k${axis}, ${size} + PADDING) + STRIDE - 1u) / STRIDE);
let ${length} = max(o${axis}_end, o${axis}_first) - o${axis}_first;`;
        })
        .join("");
  const whole = s.n % samples === 0;
  const turn = `
${whole ? "let sample = first + k;" : "let present = first + k < N;\nlet sample = min(first + k, N - 1u);"}
let dy_base = ((sample * OH + oy) * OW + ox) * DY_STRIDE;
let pixel = (sample * H + y0) * W + x0;
${statements}`;
  return `${bounds}
let turn_end = min(height * width * BLOCKS, (slice + 1u) * LENGTH);
for (var turn = slice * LENGTH; turn < turn_end; turn++) {
  let first = (turn % BLOCKS) * ${samples}u;
  let place = turn / BLOCKS;
  let oy = oy_first + place / width;
  let ox = ox_first + place % width;
  let y0 = oy * STRIDE - PADDING${gather ? "" : " + ky"};
  let x0 = ox * STRIDE - PADDING${gather ? "" : " + kx"};
  ${unrolledLoop("k", samples, samples, turn)}
}`;
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
${eachTurn(s, samples, !x.perTap, multiplyAdd(tile, 1, rows, x.columns(tile, s)))}
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
