// What a convolution pass reads and writes, as data: sizes by binding name, how long its sums are, and a small instance
// of it to check.

import {
  type CorrelationPass,
  correlationShape,
  correlationWork,
  isCorrelation,
} from "../../kernels/convolution/pass/correlation.ts";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { planeForm, planePairs, planeScales } from "../../kernels/convolution/pass/planes.ts";
import { rectifyShape } from "../../shared/model/rectify.ts";
import { groupCount, outputHeight, outputWidth, signWords, type WindowShape } from "../../shared/model/window.ts";

/** `values`: f32 to read. `signs`: sign planes to read. `result`: f32 to write. `sum`: f32 that the pass adds to. */
export type OperandRole = "values" | "signs" | "result" | "sum";

export interface Operand {
  /** The binding's name. */
  readonly name: string;
  readonly role: OperandRole;
  /** Elements: f32 [rows][channels], or u32 [rows][signWords(channels)] of sign planes; a group's row is its own. */
  readonly rows: number;
  readonly channels: number;
}

/** f32 or u32 elements of an operand. */
export function operandElements({ role, rows, channels }: Operand): number {
  return rows * (role === "signs" ? signWords(channels) : channels);
}

/** Every binding of a pass but its scratch. */
export function passOperands(pass: ConvolutionPass): readonly Operand[] {
  if (isCorrelation(pass)) return correlationOperands(pass);
  const s = pass.shape;
  const groups = groupCount(s);
  const pixels = s.n * s.h * s.w * groups;
  const positions = s.n * outputHeight(s) * outputWidth(s) * groups;
  const taps = groups * s.out * s.kernel * s.kernel;
  const x = (role: OperandRole, name = "x"): Operand => ({ name, role, rows: pixels, channels: s.in });
  const y = (role: OperandRole, name = "y"): Operand => ({ name, role, rows: positions, channels: s.out });
  const w = (role: OperandRole, name = "w"): Operand => ({ name, role, rows: taps, channels: s.in });
  switch (pass.verb) {
    case "convForward": {
      const bias: Operand = { name: "bias", role: "values", rows: 1, channels: groups * s.out };
      return [x("values"), w("values"), ...(pass.bias ? [bias] : []), y("result")];
    }
    case "convInputGradient":
      return [y("values", "dy"), w("values"), x(pass.accumulate ? "sum" : "result", "dx")];
    case "convWeightGradient":
      return [y("values", "dy"), x("values"), w("result", "dw")];
    case "binaryConvForward":
      return [x("signs", "a"), w("signs"), scales(pass), y("result")];
    case "binaryConvInputGradient":
      return [y("values", "dy"), w("signs"), scales(pass), x("values"), x(pass.accumulate ? "sum" : "result", "dx")];
    case "binaryConvWeightGradient":
      return [y("values", "dy"), x("signs", "a"), w("result", "dw")];
    case "planesConvForward": {
      const { activations, weights } = planeForm(pass);
      const of = (operand: Operand, planes: number): Operand => ({ ...operand, rows: planes * operand.rows });
      const list = (name: string, channels: number): Operand => ({ name, role: "values", rows: 1, channels });
      return [
        of(x("signs", "a"), activations),
        of(w("signs"), weights),
        list("c", planeScales(pass, s)),
        ...(pass.activations.kind === "bases" ? [list("b", activations)] : []),
        y("result"),
      ];
    }
    default:
      return pass satisfies never;
  }
}

function correlationOperands(pass: CorrelationPass): readonly Operand[] {
  const { n, exemplars, channels, h, w, rows, columns, oh, ow } = correlationShape(pass);
  const x = (role: OperandRole, name = "x"): Operand => ({ name, role, rows: n * h * w, channels });
  const z = (role: OperandRole, name = "z"): Operand => ({ name, role, rows: exemplars * rows * columns, channels });
  const y = (role: OperandRole, name = "y"): Operand => ({ name, role, rows: n * oh * ow, channels: 1 });
  switch (pass.verb) {
    case "xcorrForward":
      return [x("values"), z("values"), y("result")];
    case "xcorrSearchGradient":
      return [y("values", "dy"), z("values"), x(pass.accumulate ? "sum" : "result", "dx")];
    case "xcorrExemplarGradient":
      return [y("values", "dy"), x("values"), z(pass.accumulate ? "sum" : "result", "dz")];
    default:
      return pass satisfies never;
  }
}

function scales({ shape, rectify }: Extract<ConvolutionPass, { readonly rectify: unknown }>): Operand {
  const size = rectifyShape(rectify, groupCount(shape) * shape.out, shape.kernel, shape.in).reduce((a, b) => a * b, 1);
  return { name: "c", role: "values", rows: 1, channels: size };
}

/** Products that each element of the result sums, at most. */
export function sumTerms(pass: ConvolutionPass): number {
  if (isCorrelation(pass)) return correlationWork(pass).terms;
  const { verb, shape } = pass;
  const taps = shape.kernel * shape.kernel;
  switch (verb) {
    case "planesConvForward":
      return taps * shape.in * planePairs(planeForm(pass));
    case "convForward":
    case "binaryConvForward":
      return taps * shape.in;
    case "convInputGradient":
    case "binaryConvInputGradient":
      return taps * shape.out;
    case "convWeightGradient":
    case "binaryConvWeightGradient":
      return shape.n * outputHeight(shape) * outputWidth(shape);
    default:
      return verb satisfies never;
  }
}

/** Multiply-adds of a pass, taps in the padding counted, and of every pair of planes. */
export function multiplyAdds(pass: ConvolutionPass): number {
  if (isCorrelation(pass)) return correlationWork(pass).all;
  const { shape: s } = pass;
  const pairs = pass.verb === "planesConvForward" ? planePairs(planeForm(pass)) : 1;
  return pairs * s.n * outputHeight(s) * outputWidth(s) * s.kernel * s.kernel * s.in * s.out * groupCount(s);
}

/** Samples and outputs a side of the small instances, the largest first. */
const SMALL = [
  [16, 5],
  [16, 3],
  [8, 3],
  [4, 3],
  [4, 2],
  [4, 1],
] as const;

/**
 * The pass with the same channels, window and options on few samples and positions: the largest of at most `limit`
 * multiply-adds, or the smallest there is. Remainders by which kernels differ (samples by four, a stride's rest) stay.
 */
export function smallInstance(pass: ConvolutionPass, limit: number): ConvolutionPass {
  let small = pass;
  for (const [samples, side] of SMALL) {
    small = isCorrelation(pass)
      ? fewerExemplars(pass, samples, side)
      : { ...pass, shape: shrunk(pass.shape, samples, side) };
    if (multiplyAdds(small) <= limit) break;
  }
  return small;
}

/** As many searches an exemplar as there were. */
function fewerExemplars(pass: CorrelationPass, samples: number, side: number): CorrelationPass {
  const { n, exemplars, w } = correlationShape(pass);
  const left = Math.min(exemplars, samples);
  const shape = { ...shrunk(pass.shape, n, side), n: (n / exemplars) * left, w: Math.min(w, side + pass.columns - 1) };
  return { ...pass, exemplars: left, shape };
}

function shrunk(s: WindowShape, samples: number, side: number): WindowShape {
  const length = (size: number) => {
    const rest = (size + 2 * s.padding - s.kernel) % s.stride;
    return Math.min(size, Math.max(1, (side - 1) * s.stride + s.kernel - 2 * s.padding + rest));
  };
  return { ...s, n: Math.min(s.n, samples + (s.n % 4)), h: length(s.h), w: length(s.w) };
}
