// From the exact integer sums of pairs of planes to an output: floats, in one order that every tiling has.

import { range } from "../../text/range.ts";
import { type PlaneOperands, planeForm } from "../pass/planes.ts";

/** Σ_j 2^j over the planes of a number in [0, 1], as the f32 that a sum is multiplied by instead of divided. */
function levelScale(bits: number): number {
  return Math.fround(1 / (2 ** bits - 1));
}

/** Names of what an output is made of, as WGSL: integers by plane of weights and group, c by plane, β by base. */
export interface SumNames {
  readonly sum: (plane: number, group: number) => string;
  readonly c: (plane: number) => string;
  readonly b: (base: number) => string;
}

const PARAMETERS: SumNames = { sum: (m, g) => `s_${m}_${g}`, c: (m) => `c_${m}`, b: (g) => `b_${g}` };

function parametersOf(o: PlaneOperands, names: SumNames): Record<"i32" | "f32", readonly string[]> {
  const { weights, groups } = planeForm(o);
  return {
    i32: range(weights).flatMap((m) => groups.map((_, g) => names.sum(m, g))),
    f32: [...range(weights).map(names.c), ...(o.activations.kind === "bases" ? groups.map((_, g) => names.b(g)) : [])],
  };
}

/**
 * Declares `combined`(s_0_0 …, c_0 …, b_0 …): f32, the output of integer sums s_plane_group. A function, so that its
 * arithmetic is the same text in every tiling.
 */
export function declareCombined(o: PlaneOperands): string {
  const { weights, groups } = planeForm(o);
  const { i32, f32 } = parametersOf(o, PARAMETERS);
  const parameters = [...i32.map((name) => `${name}: i32`), ...f32.map((name) => `${name}: f32`)];
  const bases = o.activations.kind === "bases";
  const based = (m: number) => groups.map((_, g) => `f32(s_${m}_${g})${bases ? ` * b_${g}` : ""}`).join(" + ");
  const terms = range(weights).map((m) => `c_${m} * t_${m}`);
  const sum = terms.join(o.weights.kind === "ternary" ? " - " : " + ");
  const { activations } = o;
  const scaled =
    activations.kind === "bits" && activations.bits > 1 ? `(${sum}) * ${levelScale(activations.bits)}` : sum;
  return `fn combined(${parameters.join(", ")}) -> f32 {
${range(weights)
  .map((m) => `let t_${m} = ${based(m)};`)
  .join("\n")}
return ${scaled};
}`;
}

/** The call of `combined`. */
export function combine(o: PlaneOperands, names: SumNames): string {
  const { i32, f32 } = parametersOf(o, names);
  return `combined(${[...i32, ...f32].join(", ")})`;
}
