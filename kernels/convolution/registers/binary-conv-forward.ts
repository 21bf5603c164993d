// The 1-bit forward convolution: Σ ±1·±1 over a word is 32 − 2·popcount(a ^ w) (XNOR-Net, Rastegari et al. 2016),
// scaled by C.
import type { Rectify } from "../../../shared/model/rectify.ts";
import type { WindowShape } from "../../../shared/model/window.ts";
import { storeTile } from "../../product/gemm.ts";
import { forwardTiles, pickTile, type Tile } from "../../product/tile-space.ts";
import { tiledKernel } from "../../product/tiled-kernel.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import {
  describeWindow,
  eachOutputTap,
  foldPositions,
  placeOfGroup,
  windowConstants,
} from "../../text/window-loops.ts";
import type { Counter } from "../pass/tiling.ts";
import { forwardPlan } from "./binary-forward-plans.ts";

/**
 * y = conv(sign(F), Ŵ⊙C); taps outside the image contribute exactly 0. Bindings a u32 [n][h][w][signWords(in)],
 * w u32 [out][kh][kw][signWords(in)], c f32 of rectifyShape, y f32 [n][oh][ow][out].
 */
export function binaryConvForward(o: {
  readonly shape: WindowShape;
  readonly rectify: Rectify;
  readonly tile?: Tile;
  readonly counter?: Counter;
}): KernelSequence {
  const s = foldPositions(o.shape);
  const outputs = vectorWidth(s.out);
  const space = forwardTiles(s, o.rectify !== "filter");
  const { extent } = space;
  const tile = pickTile(space, o.tile);
  const plan = forwardPlan({ shape: s, tile, counter: o.counter ?? "popcount", rectify: o.rectify, outputs });
  return {
    kernels: [
      tiledKernel({
        label: `binaryConvForward ${o.rectify} ${describeWindow(s)}`,
        constants: windowConstants(s),
        storage: [
          ...plan.storage,
          read("c", o.rectify === "out" ? vectorType(outputs) : "f32"),
          readWrite("y", vectorType(outputs)),
        ],
        ...(plan.declarations ? { declarations: plan.declarations } : {}),
        tile,
        extent,
        body: `let oh = outer / OW;
let ow = outer % OW;
${plan.setup}
${eachOutputTap(s, false, () => plan.atTap)}
${storeTile({
  tile,
  extent,
  width: outputs,
  rowAddress: (row) => `${placeOfGroup(s, `(${row} * OH * OW + outer)`)} * OUT`,
  value: plan.value,
  write: (at, value) => `y[${at}] = ${value};`,
})}`,
      }),
    ],
    scratchBytes: 0,
  };
}
