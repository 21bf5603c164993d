// Float convolution (and, as a 1×1 window, every linear layer): forward, dx, dw and the bias gradient, as implicit
// matrix products.
import { groupCount, type WindowShape } from "../../../shared/model/window.ts";
import { activationColumns } from "../../product/activation-columns.ts";
import { accumulators, multiplyAdd, storeTile } from "../../product/gemm.ts";
import { acrossTile, columnsAlongSum, type Floats, lineOffsets, rowsAlongSum } from "../../product/operands.ts";
import { ANY_TILE, forwardTiles, pickTile, type Tile, tileStep } from "../../product/tile-space.ts";
import { tiledKernel } from "../../product/tiled-kernel.ts";
import { columnReduce } from "../../text/column-reduce.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { fitsStretch, unrolledLoop, unrollFactor } from "../../text/unroll.ts";
import {
  atGroup,
  describeWindow,
  eachOutputTap,
  foldPositions,
  placeOfGroup,
  windowConstants,
} from "../../text/window-loops.ts";
import { floatWeightOffsets, inputGradient, inputGradientTiles } from "./input-gradient.ts";
import { weightGradient } from "./weight-gradient.ts";

/**
 * y = conv(x, w) (+ bias): x f32 [n][h][w][in], w f32 [out][kh][kw][in], bias f32 [out], y f32 [n][oh][ow][out]; zero
 * padding. Bindings x, w, (bias,) y. With groups, here and in every pass, maps are [n][h][w][group][channels], weights
 * [group][out][kh][kw][in], and each group is a convolution of its own.
 */
export function convForward(o: {
  readonly shape: WindowShape;
  readonly bias: boolean;
  readonly tile?: Tile;
}): KernelSequence {
  const s = foldPositions(o.shape);
  const width = vectorWidth(s.in);
  const plane = (s.kernel * s.kernel * s.in) / width;
  const outputs = vectorWidth(s.out);
  const space = forwardTiles(s, width === 4);
  const { extent } = space;
  const tile = pickTile(space, o.tile);
  const x: Floats = { name: "x", width };
  const w: Floats = { name: "w", width };
  const pixels = (s.h * s.w * s.in * groupCount(s)) / width;
  const steps = s.in / width;
  const step = tileStep(tile, width);
  const unroll = unrollFactor(steps, step);
  const writeOut = fitsStretch(steps * s.kernel, step);
  const product = (mask?: string) =>
    multiplyAdd(
      tile,
      width,
      rowsAlongSum({ source: x, tile, offsets: "r", base: "x_base + i", ...(mask === undefined ? {} : { mask }) }),
      columnsAlongSum(w, tile.columns, "c", "w_base + i"),
    );
  return {
    kernels: [
      tiledKernel({
        label: `convForward ${describeWindow(s)}`,
        constants: windowConstants(s),
        storage: [
          read("x", vectorType(width)),
          read("w", vectorType(width)),
          ...(o.bias ? [read("bias", vectorType(outputs))] : []),
          readWrite("y", vectorType(outputs)),
        ],
        tile,
        extent,
        body: `let oh = outer / OW;
let ow = outer % OW;
${lineOffsets({ prefix: "r", first: "row0", count: tile.rows, limit: s.n, stride: pixels })}
${lineOffsets({ prefix: "c", first: "column0", count: tile.columns, limit: s.out, stride: plane })}
${accumulators(tile)}
${eachOutputTap(
  s,
  writeOut,
  (mask) => `
let x_base = ${placeOfGroup(s, "pixel")} * ${steps}u;
let w_base = tap * ${steps}u${atGroup(s, s.out * plane)};
${unrolledLoop("i", steps, unroll, product(mask === "inside" ? "inside" : undefined))}`,
)}
${storeTile({
  tile,
  extent,
  width: outputs,
  rowAddress: (row) => `${placeOfGroup(s, `(${row} * OH * OW + outer)`)} * OUT`,
  value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  write: (at, value, column) =>
    `y[${at}] = ${value}${o.bias ? ` + bias[${outputs === 4 ? `${column} / 4u` : column}${atGroup(s, s.out / outputs)}]` : ""};`,
})}`,
      }),
    ],
    scratchBytes: 0,
  };
}

/** dx (+)= the transposed convolution of dy with w. Bindings dy f32 [n][oh][ow][out], w, dx f32 [n][h][w][in]. */
export function convInputGradient(o: {
  readonly shape: WindowShape;
  readonly accumulate: boolean;
  readonly tile?: Tile;
}): KernelSequence {
  const w: Floats = { name: "w", width: vectorWidth(o.shape.in) };
  const plane = (o.shape.kernel * o.shape.kernel * o.shape.in) / w.width;
  const depth = vectorWidth(o.shape.out);
  return inputGradient({
    label: "convInputGradient",
    shape: o.shape,
    accumulate: o.accumulate,
    tiles: inputGradientTiles(o.shape, ANY_TILE.columns),
    ...(o.tile ? { tile: o.tile } : {}),
    storage: [read("w", vectorType(w.width))],
    setup: floatWeightOffsets,
    weights: (tile) => ({
      load: [
        `let w_base = out0 * ${plane * depth}u + tap * ${o.shape.in / w.width}u${atGroup(o.shape, o.shape.out * plane)};`,
        acrossTile({
          source: w,
          prefix: "b",
          offsets: "c",
          count: tile.columns,
          base: (k) => `w_base + ${k * plane}u`,
          depth,
        }),
      ].join("\n"),
      at: (q, k) => `b_${q}_${k}`,
    }),
  });
}

/** dw = ∂L/∂w. Bindings dy f32 [n][oh][ow][out], x f32 [n][h][w][in], dw f32 [out][kh][kw][in], (scratch). */
export function convWeightGradient(o: { readonly shape: WindowShape; readonly tile?: Tile }): KernelSequence {
  return weightGradient("convWeightGradient", o.shape, activationColumns(o.shape), o.tile);
}

/** The bias gradient: x f32 [rows][channels] → sum f32 [channels]. */
export function columnSum(o: { readonly rows: number; readonly channels: number }): KernelSequence {
  return columnReduce({
    label: "columnSum",
    rows: o.rows,
    channels: o.channels,
    storage: (t) => [read("x", t)],
    setup: "",
    each: "sumSum += x[at];",
    outputs: ["sum"],
  });
}
