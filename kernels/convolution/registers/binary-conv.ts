// The rectified 1-bit convolution's backward passes (methods/README.md): one operand is a sign plane, expanded to ±1 in
// registers.
import type { Rectify, Surrogate } from "../../../shared/model/rectify.ts";
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { signedColumns } from "../../product/activation-columns.ts";
import type { Columns } from "../../product/gemm.ts";
import { alignSigns, signColumns } from "../../product/sign-operands.ts";
import { SIGN_COST, type Tile, type TileSpace, wordColumns } from "../../product/tile-space.ts";
import { read, vectorType, vectorWidth } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { range } from "../../text/range.ts";
import { atGroup } from "../../text/window-loops.ts";
import { inputGradient, inputGradientTiles } from "./input-gradient.ts";
import { weightGradient } from "./weight-gradient.ts";

export { binaryConvForward } from "./binary-conv-forward.ts";

/** Surrogate derivative of the sign at `v`, as WGSL. */
export function surrogateDerivative(surrogate: Surrogate, type: string): string {
  switch (surrogate) {
    case "bireal":
      return `max(${type}(), ${type}(2.0) - 2.0 * abs(v))`;
    case "ste":
      return `select(${type}(), ${type}(1.0), abs(v) <= ${type}(1.0))`;
    case "open":
      return `select(${type}(), ${type}(1.0), abs(v) < ${type}(1.0))`;
    default:
      return surrogate satisfies never;
  }
}

/** Factor of dy on its way into the product, where C varies with the tap or the output. */
function rowScale(rectify: Rectify, shape: WindowShape): ((lane: string) => string) | undefined {
  if (rectify === "kernel") return () => "scale";
  const own = atGroup(shape, shape.out / vectorWidth(shape.out));
  if (rectify === "out") return (lane) => `c[out0${own}]${lane}`;
  return undefined;
}

/** Ŵ scaled in registers, where C varies with the input: `c_quad` holds this tap's entries. */
function scaleColumns(tile: Tile, depth: number, columns: Columns): Columns {
  const scaled = range(depth).flatMap((k) =>
    range(tile.columns / 4).map((q) => `let sb_${q}_${k} = ${columns.at(q, k)} * c_${q};`),
  );
  return { load: [columns.load, ...scaled].join("\n"), at: (q, k) => `sb_${q}_${k}` };
}

/**
 * Declares what of C belongs to a tap: `scale`, or `c_quad`, the entries of C [1][kh][kw][in] for the tile's columns.
 */
function tapScales(rectify: Rectify, tile: Tile): string {
  if (rectify === "kernel") return "let scale = c[tap];";
  if (rectify !== "filter") return "";
  const entry = (j: number) => `c[tap * IN + min(column0 + ${j}u, IN - 1u)]`;
  return range(tile.columns / 4)
    .map(
      (q) =>
        `let c_${q} = vec4<f32>(${range(4)
          .map((l) => entry(4 * q + l))
          .join(", ")});`,
    )
    .join("\n");
}

/** Sums of a tile whose columns are signs: a word of them serves eight rows of a software adapter. */
const MOST_SUMS = 256;

/** How dx of a 1-bit layer may be tiled. */
export function signedInputGradientTiles(shape: WindowShape): TileSpace {
  return { ...inputGradientTiles(shape, wordColumns(shape.in)), mostSums: MOST_SUMS, columnCost: SIGN_COST };
}

/**
 * dx (+)= (transposed convolution of dy with Ŵ⊙C) ⊙ surrogate'(x). Bindings dy f32 [n][oh][ow][out], w u32
 * [out][kh][kw][signWords(in)], c f32 of rectifyShape, x f32 [n][h][w][in] (before the sign), dx f32 [n][h][w][in].
 */
export function binaryConvInputGradient(o: {
  readonly shape: WindowShape;
  readonly rectify: Rectify;
  readonly surrogate: Surrogate;
  readonly accumulate: boolean;
  readonly tile?: Tile;
}): KernelSequence {
  const words = signWords(o.shape.in);
  const plane = o.shape.kernel * o.shape.kernel * words;
  const width = vectorWidth(o.shape.in);
  const type = vectorType(width);
  const depth = vectorWidth(o.shape.out);
  const scale = rowScale(o.rectify, o.shape);
  const layer = o.rectify === "layer" ? "c[0] * " : "";
  return inputGradient({
    label: `binaryConvInputGradient ${o.rectify} ${o.surrogate}`,
    shape: o.shape,
    accumulate: o.accumulate,
    tiles: signedInputGradientTiles(o.shape),
    ...(o.tile ? { tile: o.tile } : {}),
    storage: [read("w", "u32"), read("c", o.rectify === "out" ? vectorType(depth) : "f32"), read("x", type)],
    declarations: `fn derivative(v: ${type}) -> ${type} { return ${surrogateDerivative(o.surrogate, type)}; }`,
    setup: (tile) => alignSigns(tile.columns),
    atTap: (tile) => tapScales(o.rectify, tile),
    ...(scale ? { scale } : {}),
    weights: (tile) => {
      const signs = signColumns({
        name: "w",
        columns: tile.columns,
        base: (k) => `w_base + ${k * plane}u`,
        depth,
      });
      const load = `let w_base = out0 * ${plane * depth}u + tap * ${words}u${atGroup(o.shape, o.shape.out * plane)};\n${signs.load}`;
      const columns = { load, at: signs.at };
      return o.rectify === "filter" ? scaleColumns(tile, depth, columns) : columns;
    },
    epilogue: (value, at) => `${layer}${value} * derivative(x[${at}])`,
  });
}

/**
 * dw = ∂L/∂(Ŵ⊙C), without C and surrogate. Bindings dy f32 [n][oh][ow][out], a u32 [n][h][w][signWords(in)],
 * dw f32 [out][kh][kw][in], (scratch).
 */
export function binaryConvWeightGradient(o: { readonly shape: WindowShape; readonly tile?: Tile }): KernelSequence {
  return weightGradient("binaryConvWeightGradient", o.shape, signedColumns(o.shape.in), o.tile);
}
