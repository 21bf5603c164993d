// dx over workgroup memory as a product: of the stride × stride phases of the inputs, each of which is reached by taps
// of its own.
import type { WindowShape } from "../../../shared/model/window.ts";
import { accumulators } from "../../product/gemm.ts";
import type { Extent } from "../../product/tile-space.ts";
import { read, readWrite, type Storage, vectorType, vectorWidth } from "../../text/dispatch.ts";
import { describeWindow, foldPositions, placeOfGroup, windowConstants, windowGroups } from "../../text/window-loops.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import type { Operand } from "./memory.ts";
import { floatProduct, type WorkgroupPlan } from "./product.ts";
import { type TapSum, tapAtStep, tapSlabs, tapsAtSlab, type WindowRows, windowOperand } from "./taps.ts";

/** Rows are the inputs of a phase, by ⌈h / stride⌉ × ⌈w / stride⌉ places a sample. */
function inputGradientExtent(shape: WindowShape): Extent {
  const s = foldPositions(shape);
  return {
    rows: s.n * Math.ceil(s.h / s.stride) * Math.ceil(s.w / s.stride),
    columns: s.in,
    outer: s.stride * s.stride,
    ...windowGroups(s),
  };
}

/**
 * The phase of a workgroup. Input ih reaches outputs by taps ky ≡ ih + padding (mod stride): `phase_y` + stride·i, of
 * which there are `taps_high`. The phase's inputs are `first_y` + stride·j, and tap i of input j leads to output
 * `output_y` + j − i. Reads `outer` and windowConstants; declares `phase`, and `phase_`, `first_`, `output_` of `y` and
 * `x`, `taps_high`, `taps_wide`.
 */
function locatePhase(s: WindowShape): string {
  const phase = s.stride === 1 ? "0u" : "outer";
  const axis = (name: string, number: string, high: string) => `
let phase_${name} = ${number};
let first_${name} = (phase_${name} + STRIDE - PADDING % STRIDE) % STRIDE;
let output_${name} = (first_${name} + PADDING - phase_${name}) / STRIDE;
let taps_${high} = (KERNEL + STRIDE - 1u - phase_${name}) / STRIDE;`;
  return `let phase = ${phase};${axis("y", "phase / STRIDE", "high")}${axis("x", "phase % STRIDE", "wide")}`;
}

/** The tap's number in the window. */
const TAP_NUMBER = "(phase_y + STRIDE * tap_y) * KERNEL + phase_x + STRIDE * tap_x";

interface Parts {
  readonly label: string;
  readonly shape: WindowShape;
  readonly accumulate: boolean;
  /** Bindings between dy and dx. */
  readonly storage: readonly Storage[];
  readonly declarations?: string;
  /** dy times this, WGSL that knows `tap_number` and `channel`, the output. */
  readonly scale?: string;
  /** Weights as columns: the value at output `channel` and tap `tap_number`, given the address. */
  readonly weights: Pick<Operand, "half" | "width"> & {
    readonly at: (line: string) => string;
    readonly value: (at: string, line: string) => string;
  };
  readonly epilogue: (value: string, at: string) => string;
}

/** Declares `tap_number` for `scale` and `weights`; its rows read what locatePhase declares. */
export function inputGradientPlan(o: Parts, tiling: WorkgroupTiling): WorkgroupPlan {
  const s = o.shape;
  const depth = vectorWidth(s.out);
  const width = vectorWidth(s.in);
  const [high, wide] = [Math.ceil(s.h / s.stride), Math.ceil(s.w / s.stride)];
  const extent = inputGradientExtent(s);
  const sum: TapSum = {
    channels: s.out,
    depth: tiling.depth,
    taps: "taps_high * taps_wide",
    across: "max(taps_wide, 1u)",
  };
  const rows: WindowRows = {
    rows: extent.rows,
    high: `${high}u`,
    wide: `${wide}u`,
    height: "OH",
    width: "OW",
    firstY: (y) => `${y} + output_y`,
    firstX: (x) => `${x} + output_x`,
    towards: "-",
  };
  const a = windowOperand(rows, sum, {
    width: depth,
    at: `(${placeOfGroup(s, "pixel")} * OUT + channel) / ${depth}u`,
    value: (at) => `dy[${at}]${o.scale === undefined ? "" : ` * ${o.scale}`}`,
    atPixel: `\nlet tap_number = select(0u, ${TAP_NUMBER}, inside);`,
  });
  const b: Operand = {
    name: "b",
    layout: "lines",
    ...o.weights,
    element: (_id, step, line) => ({
      statements: `${tapAtStep(sum, step)}\nlet tap_number = ${TAP_NUMBER};`,
      inside: `(tap < ${sum.taps}) & (${line} < IN)`,
      at: o.weights.at(line),
      value: (at) => o.weights.value(at, line),
    }),
  };
  return {
    product: {
      label: `${o.label} ${describeWindow(s)}`,
      tiling,
      extent,
      constants: windowConstants(s),
      ...(o.declarations ? { declarations: o.declarations } : {}),
      storage: [read("dy", vectorType(depth)), ...o.storage, readWrite("dx", vectorType(width))],
      ...floatProduct(tiling, a, b),
      setup: locatePhase(s),
      slabs: tapSlabs(sum),
      atSlab: tapsAtSlab(sum),
      sums: accumulators(tiling),
      store: {
        width,
        locateRow: `
let ih = first_y + STRIDE * ((row / ${wide}u) % ${high}u);
let iw = first_x + STRIDE * (row % ${wide}u);
let held = (ih < H) & (iw < W);
let start = ${placeOfGroup(s, `((row / ${high * wide}u * H + ih) * W + iw)`)} * IN;`,
        holes: s.stride > 1,
        value: (i, q, lane) => `sum_${i}_${q}${lane}`,
        write: (at, value) => `{ let to = ${at}; dx[to] ${o.accumulate ? "+=" : "="} ${o.epilogue(value, "to")}; }`,
      },
    },
    after: [],
    scratchBytes: 0,
  };
}
