// The forward convolution over workgroup memory: both operands are contiguous along the sum, taps row-major, channels ascending.
import { outputHeight, outputWidth, signWords, type WindowShape } from "../shared/window.ts";
import { read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import { accumulators } from "./gemm.ts";
import { signQuad } from "./operands.ts";
import type { WorkgroupTiling } from "./tiling.ts";
import { describeWindow, foldPositions, windowConstants } from "./window-loops.ts";
import type { Operand } from "./workgroup-memory.ts";
import { floatProduct, type WorkgroupPlan, type WorkgroupProduct } from "./workgroup-product.ts";
import {
  pixelAtTap,
  type TapSum,
  tapAtStep,
  tapSlabs,
  tapsAtSlab,
  type WindowRows,
  windowRow,
} from "./workgroup-taps.ts";

/** The outputs of a convolution as rows, and the pixels that each sees. */
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

function forwardPlan(o: ForwardParts): WorkgroupPlan {
  const { shape: s, sum, tiling } = o;
  return {
    product: {
      label: `${o.label} ${describeWindow(s)}`,
      tiling,
      extent: { rows: outputRows(s).rows, columns: s.out, outer: 1 },
      constants: windowConstants(s),
      storage: o.storage,
      ...floatProduct(tiling, o.a, o.b),
      setup: "",
      slabs: tapSlabs(sum),
      atSlab: tapsAtSlab(sum),
      sums: accumulators(tiling),
      store: {
        width: vectorWidth(s.out),
        locateRow: "let start = row * OUT;",
        value: (i, q, lane) => `sum_${i}_${q}${lane}`,
        write: (at, value, column) => `y[${at}] = ${o.epilogue(value, column)};`,
      },
    },
    after: [],
    scratchBytes: 0,
  };
}

function tapsOf(s: WindowShape, tiling: WorkgroupTiling): TapSum {
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
  const rows = outputRows(s);
  const a: Operand = {
    name: "a",
    layout: "steps",
    width,
    setup: (id) => windowRow(rows, id),
    element: (id, step) => ({
      statements: tapAtStep(sum, step) + pixelAtTap(rows, id, sum.taps),
      inside: "inside",
      at: `(pixel * IN + channel) / ${width}u`,
      value: (at) => `x[${at}]`,
    }),
  };
  const b: Operand = {
    name: "b",
    layout: "steps",
    width,
    element: (_id, step, line) => ({
      statements: `let along = slab * ${tiling.depth}u + ${step};`,
      inside: `(along < KERNEL * KERNEL * IN) & (${line} < OUT)`,
      at: `(${line} * KERNEL * KERNEL * IN + along) / ${width}u`,
      value: (at) => `w[${at}]`,
    }),
  };
  const bias = (column: string) => ` + bias[${outputs === 4 ? `${column} / 4u` : column}]`;
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

/** ±1 of bit `bit` of a word, or of four bits from there on. */
export function signValue(width: 4 | 1, word: string, bit: string): string {
  if (width === 4) return signQuad(`(${word} >> (${bit}))`, 0);
  return `bitcast<f32>(0x3f800000u | ((${word} << (31u - (${bit}))) & 0x80000000u))`;
}

/** As binaryConvForward with a scale an input channel: ±1 products, as floats. */
export function workgroupFilterForward(shape: WindowShape, tiling: WorkgroupTiling): WorkgroupPlan {
  const s = foldPositions(shape);
  const width = vectorWidth(s.in);
  const outputs = vectorWidth(s.out);
  const words = signWords(s.in);
  const sum = tapsOf(s, tiling);
  const rows = outputRows(s);
  const a: Operand = {
    name: "a",
    layout: "steps",
    width,
    half: tiling.half,
    setup: (id) => windowRow(rows, id),
    element: (id, step) => ({
      statements: tapAtStep(sum, step) + pixelAtTap(rows, id, sum.taps),
      inside: "inside",
      at: `pixel * ${words}u + channel / 32u`,
      value: (at) => signValue(width, `a[${at}]`, "channel % 32u"),
    }),
  };
  const b: Operand = {
    name: "b",
    layout: "steps",
    width,
    element: (_id, step, line) => ({
      statements: tapAtStep(sum, step),
      inside: `(tap < KERNEL * KERNEL) & (${line} < OUT)`,
      at: `(${line} * KERNEL * KERNEL + tap) * ${words}u + channel / 32u`,
      value: (at) => {
        const scale = `c[select(0u, (tap * IN + channel) / ${width}u, inside_now)]`;
        return `${scale} * ${signValue(width, `w[${at}]`, "channel % 32u")}`;
      },
    }),
  };
  return forwardPlan({
    label: "binaryConvForward filter",
    shape: s,
    tiling,
    a,
    b,
    sum,
    storage: [read("a", "u32"), read("w", "u32"), read("c", vectorType(width)), readWrite("y", vectorType(outputs))],
    epilogue: (value) => value,
  });
}
