// The operands of a convolution over bit planes as data: what the planes are, which of them are added as integers, and
// their names in keys.
import { planesOf, type QuantiseRule, type WeightForm } from "../../../shared/model/graph.ts";
import type { WindowShape } from "../../../shared/model/window.ts";

/** `sign` and `bases`: a set bit is −1, a base has its β. `bits`: plane j weighs 2^j, all by 2^bits − 1. */
export type PlaneActivations = { readonly kind: "sign" } | Extract<QuantiseRule, { readonly kind: "bits" | "bases" }>;
/** `linear`: a set bit is −1, a plane has its c. `ternary`: signs, and a mask whose set bit makes a weight 0. */
export type PlaneWeights = Extract<WeightForm, { readonly kind: "linear" | "ternary" }>;

/** What a convolution over bit planes is made of. */
export interface PlaneOperands {
  readonly activations: PlaneActivations;
  readonly weights: PlaneWeights;
}

/** How planes enter the sums. */
export interface PlaneForm {
  /** Planes of the bindings a and w; each pair is a pass of popcounts. */
  readonly activations: number;
  readonly weights: number;
  /** Planes of the activations that one integer sum takes together, the j-th 2^j times. */
  readonly groups: readonly (readonly number[])[];
  /** Whether activations and weights are ±1, or 0 and 1: weights are where a ternary plane is split into + and −. */
  readonly signedActivations: boolean;
  readonly signedWeights: boolean;
}

export function planeForm({ activations, weights }: PlaneOperands): PlaneForm {
  const count = activations.kind === "bits" ? activations.bits : activations.kind === "bases" ? activations.bases : 1;
  const planes = Array.from({ length: count }, (_, j) => j);
  return {
    activations: count,
    weights: planesOf(weights),
    groups: activations.kind === "bits" ? [planes] : planes.map((j) => [j]),
    signedActivations: activations.kind !== "bits",
    signedWeights: weights.kind === "linear",
  };
}

/** Integer sums of an output: one for each plane of weights and group of activations. */
export function integerSums({ weights, groups }: PlaneForm): number {
  return weights * groups.length;
}

/** Popcounts that a pair of words takes. */
export function planePairs({ activations, weights }: PlaneForm): number {
  return activations * weights;
}

/** Entries of the binding c. */
export function planeScales({ weights }: PlaneOperands, { out }: Pick<WindowShape, "out">): number {
  return weights.kind === "linear" && weights.scale === "out" ? weights.planes * out : planesOf(weights);
}

/** E.g. `sign`, `bits2`, `bases3`, `linear1.layer`, `ternary`. */
export function operandName(operand: PlaneActivations | PlaneWeights): string {
  switch (operand.kind) {
    case "sign":
    case "ternary":
      return operand.kind;
    case "bits":
      return `bits${operand.bits}`;
    case "bases":
      return `bases${operand.bases}`;
    case "linear":
      return `linear${operand.planes}.${operand.scale}`;
    default:
      return operand satisfies never;
  }
}
