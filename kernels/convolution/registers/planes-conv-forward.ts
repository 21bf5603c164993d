// The forward convolution over bit planes: popcounts of each pair of planes (XNOR-Net's, Rastegari et al. 2016;
// DoReFa-Net's dot product of bits, Zhou et al. 2016, eq. 3; ABC-Net's bases, Lin et al. 2017), exact in integers until
// the scales.
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { LANES, storeTile } from "../../product/gemm.ts";
import { forwardTiles, MOST_SUMS, pickTile, type Tile, type TileSpace } from "../../product/tile-space.ts";
import { tiledKernel } from "../../product/tiled-kernel.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { range } from "../../text/range.ts";
import { describeWindow, eachOutputTap, foldPositions, windowConstants } from "../../text/window-loops.ts";
import { operandName, type PlaneOperands, planeForm, planePairs } from "../pass/planes.ts";
import type { Counter } from "../pass/tiling.ts";
import { countedPlanes } from "./counted-planes.ts";
import { combine, declareCombined } from "./plane-sums.ts";

export function planesLabel(o: PlaneOperands & { readonly shape: WindowShape }): string {
  return `planesConvForward ${operandName(o.activations)} ${operandName(o.weights)} ${describeWindow(o.shape)}`;
}

/** How a pass over planes may be tiled: a sum is as many as it has pairs. */
export function planesForwardTiles(o: PlaneOperands & { readonly shape: WindowShape }): TileSpace {
  const mostSums = Math.max(4, Math.floor(MOST_SUMS / planePairs(planeForm(o))));
  return { ...forwardTiles(foldPositions(o.shape), true), mostSums };
}

/** Declares `scale_plane_column`, or `scale_plane` of a layer, and `base_group`, of what the tile multiplies by. */
function tileScales(o: PlaneOperands, tile: Tile): string {
  const { weights, groups } = planeForm(o);
  const column = (m: number, j: number) => `c[${m}u * OUT + min(column0 + ${j}u, OUT - 1u)]`;
  const c = range(weights).flatMap((m) =>
    isScaledByOutput(o)
      ? range(tile.columns).map((j) => `let scale_${m}_${j} = ${column(m, j)};`)
      : [`let scale_${m} = c[${m}u];`],
  );
  return [...c, ...(o.activations.kind === "bases" ? groups.map((_, g) => `let base_${g} = b[${g}u];`) : [])].join(
    "\n",
  );
}

export function isScaledByOutput({ weights }: PlaneOperands): boolean {
  return weights.kind === "linear" && weights.scale === "out";
}

/**
 * y = Σ_m Σ_j c_m s_j P(a_j, w_m) of planes m of the weights and j of the activations, where P is the sum of the
 * products that plane a_j and plane w_m stand for; taps outside the image contribute exactly 0. Bindings a u32
 * [planes][n][h][w][signWords(in)], w u32 [planes][out][kh][kw][signWords(in)], tail bits zero, c f32 [planes],
 * [planes][out], or [2] of ternary weights, b f32 [bases] where there are such, y f32 [n][oh][ow][out].
 */
export function planesConvForward(
  o: PlaneOperands & { readonly shape: WindowShape; readonly tile?: Tile; readonly counter?: Counter },
): KernelSequence {
  const s = foldPositions(o.shape);
  const outputs = vectorWidth(s.out);
  const space = planesForwardTiles(o);
  const { extent } = space;
  const tile = pickTile(space, o.tile);
  const counted = countedPlanes({ operands: o, shape: s, tile, counter: o.counter ?? "popcount" });
  const value = (i: number, j: number) =>
    combine(o, {
      sum: (m, g) => counted.sum(i, j, m, g),
      c: (m) => `scale_${m}${isScaledByOutput(o) ? `_${j}` : ""}`,
      b: (g) => `base_${g}`,
    });
  return {
    kernels: [
      tiledKernel({
        label: planesLabel({ ...o, shape: s }),
        constants: { ...windowConstants(s), WORDS: signWords(s.in) },
        storage: [
          ...counted.storage,
          read("c"),
          ...(o.activations.kind === "bases" ? [read("b")] : []),
          readWrite("y", vectorType(outputs)),
        ],
        declarations: `${counted.declarations}\n${declareCombined(o)}`,
        tile,
        extent,
        body: `let oh = outer / OW;
let ow = outer % OW;
${counted.setup}
${eachOutputTap(s, false, () => counted.atTap)}
${tileScales(o, tile)}
${storeTile({
  tile,
  extent,
  width: outputs,
  rowAddress: (row) => `(${row} * OH * OW + outer) * OUT`,
  value: (i, q, lane) =>
    lane === ""
      ? `vec4<f32>(${LANES.map((_, l) => value(i, 4 * q + l)).join(", ")})`
      : value(i, 4 * q + LANES.findIndex((name) => lane === `.${name}`)),
  write: (at, stored) => `y[${at}] = ${stored};`,
})}`,
      }),
    ],
    scratchBytes: 0,
  };
}
