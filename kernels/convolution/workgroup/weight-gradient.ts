// dw over workgroup memory: dy and the activations lie across the tile, and the sum over positions is sliced as in
// weight-gradient.ts.
import { groupCount, signWords, type WindowShape } from "../../../shared/model/window.ts";
import { isGathered } from "../../product/activation-columns.ts";
import { accumulators } from "../../product/gemm.ts";
import { signValue } from "../../product/sign-operands.ts";
import type { Extent } from "../../product/tile-space.ts";
import { read, readWrite, type Storage, vectorType, vectorWidth } from "../../text/dispatch.ts";
import {
  atGroup,
  describeWindow,
  foldPositions,
  placeOfGroup,
  windowConstants,
  windowGroups,
} from "../../text/window-loops.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { addSlices, weightGradientSlices } from "../registers/weight-gradient-slices.ts";
import { declarePlaces } from "../registers/weight-gradient-turns.ts";
import type { Operand } from "./memory.ts";
import { floatProduct, type WorkgroupPlan } from "./product.ts";

/** The activation side: columns are the inputs of one tap, or all (tap, input) pairs. */
interface Activations {
  readonly label: string;
  readonly shape: WindowShape;
  readonly storage: Storage;
  readonly perTap: boolean;
  readonly half?: boolean;
  readonly width: 4 | 1;
  /** The value at `line` of the pixel whose number, of a group's channels, is `pixel`. */
  readonly at: (line: string) => string;
  readonly value: (at: string, line: string) => string;
}

function extentOf(s: WindowShape, perTap: boolean): Extent {
  const taps = s.kernel * s.kernel;
  const { slices } = weightGradientSlices(s, perTap);
  return { rows: s.out, columns: perTap ? s.in : taps * s.in, outer: (perTap ? taps : 1) * slices, ...windowGroups(s) };
}

/**
 * Declares the sample and the output (`oy`, `ox`) of a step, and whether there is one. Reads `begin`, `end`, `slab`,
 * PLACE and what declarePlaces declares.
 */
function placeAtStep(depth: number, step: string): string {
  return `
let term = begin + slab * ${depth}u + ${step};
let sample = term % PLACE;
let place = term / PLACE;
let oy = oy_first + place / width;
let ox = ox_first + place % width;
let present = (term < end) & (sample < N);`;
}

/**
 * Declares `group`, `slice`, `begin`, `end`, `ky`, `kx`, what declarePlaces declares, and `pixel` for `at` and `value`.
 */
function weightGradientPlan(o: Activations, tiling: WorkgroupTiling): WorkgroupPlan {
  const { shape: s, perTap } = o;
  const taps = s.kernel * s.kernel;
  const size = s.out * taps * s.in;
  const all = size * groupCount(s);
  const { samples, blocks, length, slices } = weightGradientSlices(s, perTap);
  const extent = extentOf(s, perTap);
  const width = vectorWidth(extent.columns);
  const rows = vectorWidth(s.out);
  const target = slices === 1 ? "dw" : "scratch";
  const place = "(sample * H + pixel_y) * W + pixel_x";
  const pixel = s.groups === undefined ? place : placeOfGroup(s, `(${place})`);
  const a: Operand = {
    name: "a",
    layout: "lines",
    width: rows,
    element: (_id, step, line) => ({
      statements: placeAtStep(tiling.depth, step),
      inside: `present & (${line} < OUT)`,
      at: `(${placeOfGroup(s, "((sample * OH + oy) * OW + ox)")} * OUT + ${line}) / ${rows}u`,
      value: (at) => `dy[${at}]`,
    }),
  };
  const tapOf = (line: string) => `let ky = ${line} / (KERNEL * IN);\nlet kx = (${line} / IN) % KERNEL;`;
  const b: Operand = {
    name: "b",
    layout: "lines",
    width: o.width,
    half: o.half ?? false,
    element: (_id, step, line) => ({
      statements: `${placeAtStep(tiling.depth, step)}
${perTap ? "" : tapOf(line)}
let pixel_y = oy * STRIDE + ky - PADDING;
let pixel_x = ox * STRIDE + kx - PADDING;
let pixel = ${pixel};`,
      inside: perTap
        ? `present & (${line} < IN)`
        : `present & (pixel_y < H) & (pixel_x < W) & (${line} < ${extent.columns}u)`,
      at: o.at(perTap ? line : `(${line} % IN)`),
      value: (at) => o.value(at, line),
    }),
  };
  return {
    product: {
      label: `${o.label} ${describeWindow(s)}`,
      tiling,
      extent,
      constants: { ...windowConstants(s), PLACE: blocks * samples },
      storage: [read("dy", vectorType(rows)), o.storage, readWrite(target, vectorType(width))],
      ...floatProduct(tiling, a, b),
      setup: `
let group = outer % ${perTap ? taps : 1}u;
let slice = outer / ${perTap ? taps : 1}u;
${perTap ? "let ky = group / KERNEL;\nlet kx = group % KERNEL;" : ""}
${declarePlaces(!perTap || s.padding === 0)}
let begin = slice * ${length * samples}u;
let end = max(begin, min(height * width * PLACE, begin + ${length * samples}u));`,
      slabs: `(end - begin + ${tiling.depth - 1}u) / ${tiling.depth}u`,
      atSlab: "",
      sums: accumulators(tiling),
      store: {
        width,
        locateRow: `let start = ${slices === 1 ? "" : `slice * ${all}u + `}row * ${taps * s.in}u${perTap ? " + group * IN" : ""}${atGroup(s, size)};`,
        value: (i, q, lane) => `sum_${i}_${q}${lane}`,
        write: (at, value) => `${target}[${at}] = ${value};`,
      },
    },
    after: slices === 1 ? [] : [addSlices(o.label, all, slices)],
    scratchBytes: slices === 1 ? 0 : 4 * all * slices,
  };
}

/** As convWeightGradient. */
export function workgroupConvWeightGradient(shape: WindowShape, tiling: WorkgroupTiling): WorkgroupPlan {
  const s = foldPositions(shape);
  const perTap = !isGathered(s);
  const width = perTap ? vectorWidth(s.in) : 1;
  return weightGradientPlan(
    {
      label: "convWeightGradient",
      shape: s,
      storage: read("x", vectorType(width)),
      perTap,
      width,
      at: (line) => `(pixel * IN + ${line}) / ${width}u`,
      value: (at) => `x[${at}]`,
    },
    tiling,
  );
}

/** As binaryConvWeightGradient. */
export function workgroupBinaryWeightGradient(shape: WindowShape, tiling: WorkgroupTiling): WorkgroupPlan {
  const s = foldPositions(shape);
  const width = vectorWidth(s.in);
  return weightGradientPlan(
    {
      label: "binaryConvWeightGradient",
      shape: s,
      storage: read("a", "u32"),
      perTap: true,
      half: tiling.half,
      width,
      at: (line) => `pixel * ${signWords(s.in)}u + ${line} / 32u`,
      value: (at, line) => signValue(width, `a[${at}]`, `${line} % 32u`),
    },
    tiling,
  );
}
