// The passes of a convolution as data: what a plan asks for, a tuner measures, and a table of choices is keyed by.

import type { Rectify, Surrogate } from "../../../shared/model/rectify.ts";
import type { WindowShape } from "../../../shared/model/window.ts";
import type { CorrelationPass } from "./correlation.ts";
import { operandName, type PlaneOperands } from "./planes.ts";

export type ConvolutionPass =
  | { readonly verb: "convForward"; readonly shape: WindowShape; readonly bias: boolean }
  | { readonly verb: "convInputGradient"; readonly shape: WindowShape; readonly accumulate: boolean }
  | { readonly verb: "convWeightGradient"; readonly shape: WindowShape }
  | { readonly verb: "binaryConvForward"; readonly shape: WindowShape; readonly rectify: Rectify }
  | {
      readonly verb: "binaryConvInputGradient";
      readonly shape: WindowShape;
      readonly rectify: Rectify;
      readonly surrogate: Surrogate;
      readonly accumulate: boolean;
    }
  | { readonly verb: "binaryConvWeightGradient"; readonly shape: WindowShape }
  | ({ readonly verb: "planesConvForward"; readonly shape: WindowShape } & PlaneOperands)
  | CorrelationPass;

/** The pass as text: equal exactly where the kernels of every tiling are. */
export function passKey(pass: ConvolutionPass): string {
  const { n, h, w, in: input, out, kernel, stride, padding, groups } = pass.shape;
  const parts = groups === undefined ? "" : ` g${groups}`;
  const window = `${n}x${h}x${w}x${input}->${out} k${kernel} s${stride} p${padding}${parts}`;
  const options = Object.entries(pass).flatMap(([name, value]) =>
    name === "verb" || name === "shape" ? [] : [`${name}=${typeof value === "object" ? operandName(value) : value}`],
  );
  return [pass.verb, window, ...options].join(" ");
}
