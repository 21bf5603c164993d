// dx of a convolution, the transposed product: shared by float and binary layers, which differ in how weights are read.
import { groupCount, outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import { accumulators, type Columns, multiplyAdd, storeTile } from "../../product/gemm.ts";
import { elementOffsets, type Floats, lineOffsets, rowsAlongSum } from "../../product/operands.ts";
import { ANY_TILE, pickTile, type Tile, type TileSpace, tileStep } from "../../product/tile-space.ts";
import { tiledKernel } from "../../product/tiled-kernel.ts";
import { read, readWrite, type Storage, vectorType, vectorWidth } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { unrolledLoop, unrollFactor } from "../../text/unroll.ts";
import {
  describeWindow,
  eachInputTap,
  foldPositions,
  placeOfGroup,
  windowConstants,
  windowGroups,
} from "../../text/window-loops.ts";

export interface InputGradient {
  readonly label: string;
  readonly shape: WindowShape;
  readonly accumulate: boolean;
  readonly tiles: TileSpace;
  /** The best of `tiles` unless told. */
  readonly tile?: Tile;
  /** Bindings between dy and dx. */
  readonly storage: readonly Storage[];
  readonly declarations?: string;
  /** Statements before the taps; `column0` is known. */
  readonly setup?: (tile: Tile, shape: WindowShape) => string;
  /** Statements at each tap. */
  readonly atTap?: (tile: Tile) => string;
  /**
   * Factor of dy on its way into the product: of vectorWidth(out) outputs of step `out0`, or of one, given
   * `[quad_lane]`.
   */
  readonly scale?: (lane: string) => string;
  /** Weights as columns (inputs) over the vectorWidth(out) outputs of step `out0`. */
  readonly weights: (tile: Tile) => Columns;
  /** The value to store, given the sum and dx's address in loads. */
  readonly epilogue?: (value: string, at: string) => string;
}

/** How dx may be tiled; `columns` are the sizes that the weights' layout allows. */
export function inputGradientTiles(shape: WindowShape, columns: readonly number[]): TileSpace {
  const s = foldPositions(shape);
  return {
    extent: { rows: s.n, columns: s.in, outer: s.h * s.w, ...windowGroups(s) },
    sizes: { rows: ANY_TILE.rows, columns },
    quads: vectorWidth(s.out) === 4,
  };
}

/**
 * Bindings dy f32 [n][oh][ow][out], …, dx f32 [n][h][w][in]. Rows are samples at one input position, columns inputs.
 * Declares for its parts `ih`, `iw`, `r_row`, at each tap `tap`, `pixel`, `a_base`, and at each step `out0`.
 */
export function inputGradient(o: InputGradient): KernelSequence {
  const s = foldPositions(o.shape);
  const positions = outputHeight(s) * outputWidth(s) * groupCount(s);
  const dy: Floats = { name: "dy", width: vectorWidth(s.out) };
  const width = vectorWidth(s.in);
  const { extent } = o.tiles;
  const tile = pickTile(o.tiles, o.tile);
  const steps = s.out / dy.width;
  const a = rowsAlongSum({
    source: dy,
    tile,
    offsets: "r",
    base: "a_base + out0",
    ...(o.scale ? { scale: o.scale } : {}),
  });
  const b = o.weights(tile);
  return {
    kernels: [
      tiledKernel({
        label: `${o.label} ${describeWindow(s)}`,
        constants: windowConstants(s),
        ...(o.declarations ? { declarations: o.declarations } : {}),
        storage: [read("dy", vectorType(dy.width)), ...o.storage, readWrite("dx", vectorType(width))],
        tile,
        extent,
        body: `let ih = outer / W;
let iw = outer % W;
${lineOffsets({ prefix: "r", first: "row0", count: tile.rows, limit: s.n, stride: (positions * s.out) / dy.width })}
${o.setup?.(tile, s) ?? ""}
${accumulators(tile)}
${eachInputTap(`
let a_base = ${placeOfGroup(s, "pixel")} * ${steps}u;
${o.atTap?.(tile) ?? ""}
${unrolledLoop("out0", steps, unrollFactor(steps, tileStep(tile, dy.width)), multiplyAdd(tile, dy.width, a, b))}`)}
${storeTile({
  tile,
  extent,
  width,
  rowAddress: (row) => `${placeOfGroup(s, `(${row} * H * W + outer)`)} * IN`,
  value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  write: (at, value) =>
    `{ let to = ${at}; dx[to] ${o.accumulate ? "+=" : "="} ${o.epilogue?.(value, "to") ?? value}; }`,
})}`,
      }),
    ],
    scratchBytes: 0,
  };
}

/**
 * The float weights of a convolution as columns: w f32 [out][kh][kw][in], contiguous along inputs. Reads `column0`;
 * declares `c_i`.
 */
export function floatWeightOffsets(tile: Tile, s: WindowShape): string {
  return elementOffsets({
    prefix: "c",
    source: { name: "w", width: vectorWidth(s.in) },
    first: "column0",
    count: tile.columns,
    limit: s.in,
  });
}
