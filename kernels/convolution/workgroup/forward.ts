// The forward convolution over workgroup memory: both operands are contiguous along the sum, taps row-major, channels
// ascending.
import { outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import { accumulators } from "../../product/gemm.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import {
  atGroup,
  describeWindow,
  foldPositions,
  placeOfGroup,
  windowConstants,
  windowGroups,
} from "../../text/window-loops.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import type { Operand } from "./memory.ts";
import { floatProduct, type WorkgroupPlan, type WorkgroupProduct } from "./product.ts";
import { type TapSum, tapSlabs, tapsAtSlab, type WindowRows, windowOperand } from "./taps.ts";

/** The outputs of a convolution as rows, and the pixels that each sees. Reads windowConstants. */
export function outputRows(s: WindowShape): WindowRows {
  return {
    rows: s.n * outputHeight(s) * outputWidth(s),
    high: "OH",
    wide: "OW",
    height: "H",
    width: "W",
    firstY: (y) => `${y} * STRIDE - PADDING`,
    firstX: (x) => `${x} * STRIDE - PADDING`,
    towards: "+",
  };
}

type ForwardParts = Pick<WorkgroupProduct, "label" | "tiling" | "storage"> & {
  readonly shape: WindowShape;
  readonly a: Operand;
  readonly b: Operand;
  readonly sum: TapSum;
  readonly epilogue: (value: string, column: string) => string;
};

export function forwardPlan(o: ForwardParts): WorkgroupPlan {
  const { shape: s, sum, tiling } = o;
  return {
    product: {
      label: `${o.label} ${describeWindow(s)}`,
      tiling,
      extent: { rows: outputRows(s).rows, columns: s.out, outer: 1, ...windowGroups(s) },
      constants: windowConstants(s),
      storage: o.storage,
      ...floatProduct(tiling, o.a, o.b),
      setup: "",
      slabs: tapSlabs(sum),
      atSlab: tapsAtSlab(sum),
      sums: accumulators(tiling),
      store: {
        width: vectorWidth(s.out),
        locateRow: `let start = ${placeOfGroup(s, "row")} * OUT;`,
        value: (i, q, lane) => `sum_${i}_${q}${lane}`,
        write: (at, value, column) => `y[${at}] = ${o.epilogue(value, column)};`,
      },
    },
    after: [],
    scratchBytes: 0,
  };
}

export function tapsOf(s: WindowShape, tiling: WorkgroupTiling): TapSum {
  return { channels: s.in, depth: tiling.depth, taps: "KERNEL * KERNEL", across: "KERNEL" };
}

/** As convForward. */
export function workgroupConvForward(
  o: { readonly shape: WindowShape; readonly bias: boolean },
  tiling: WorkgroupTiling,
): WorkgroupPlan {
  const s = foldPositions(o.shape);
  const width = vectorWidth(s.in);
  const outputs = vectorWidth(s.out);
  const sum = tapsOf(s, tiling);
  const a = windowOperand(outputRows(s), sum, {
    width,
    at: `(${placeOfGroup(s, "pixel")} * IN + channel) / ${width}u`,
    value: (at) => `x[${at}]`,
  });
  const b: Operand = {
    name: "b",
    layout: "steps",
    width,
    element: (_id, step, line) => ({
      statements: `let along = slab * ${tiling.depth}u + ${step};`,
      inside: `(along < KERNEL * KERNEL * IN) & (${line} < OUT)`,
      at: `(${line} * KERNEL * KERNEL * IN + along${atGroup(s, s.out * s.kernel * s.kernel * s.in)}) / ${width}u`,
      value: (at) => `w[${at}]`,
    }),
  };
  const bias = (column: string) =>
    ` + bias[${outputs === 4 ? `${column} / 4u` : column}${atGroup(s, s.out / outputs)}]`;
  return forwardPlan({
    label: "convForward",
    shape: s,
    tiling,
    a,
    b,
    sum,
    storage: [
      read("x", vectorType(width)),
      read("w", vectorType(width)),
      ...(o.bias ? [read("bias", vectorType(outputs))] : []),
      readWrite("y", vectorType(outputs)),
    ],
    epilogue: (value, column) => value + (o.bias ? bias(column) : ""),
  });
}
