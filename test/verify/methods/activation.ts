// What a case calls an activation, as the product has it: the rule of a quantised map, and how large its values and
// slopes are.

import { z } from "zod";
import type { QuantiseRule } from "../../../shared/model/graph.ts";
import { type Comparison, maxAbs } from "../compare.ts";
import { NotSupported } from "../not-supported.ts";
import type { OracleCase } from "../oracle-case.ts";
import { summed } from "../tolerance.ts";

const attributes = z.object({ kind: z.string(), bits: z.number().default(1), bases: z.number().default(1) });

/** @returns undefined of a map that stays as it is @throws NotSupported */
export function quantiseRuleOf(activation: unknown): QuantiseRule | undefined {
  const { kind, bits, bases } = attributes.parse(activation);
  switch (kind) {
    case "closed":
      return { kind: "sign", surrogate: "ste" };
    case "open":
    case "bireal":
      return { kind: "sign", surrogate: kind };
    case "bits":
      return { kind: "bits", bits };
    case "abc":
      return { kind: "bases", bases };
    case "identity":
      return undefined;
    default:
      throw new NotSupported(`activation ${kind}`);
  }
}

/** Parameters of a quantised map, and bounds of it. */
export interface CaseActivation {
  /** By what comes after the map's own name. */
  readonly parameters: Readonly<Record<string, Float32Array>>;
  /** Of the values that the convolution reads. */
  readonly largest: number;
  readonly steepest: number;
}

export function activationOf(test: OracleCase, rule: QuantiseRule | undefined): CaseActivation {
  switch (rule?.kind) {
    case undefined:
      return { parameters: {}, largest: maxAbs(test.tensor("in.x").data), steepest: 1 };
    case "sign":
      return { parameters: {}, largest: 1, steepest: rule.surrogate === "bireal" ? 2 : 1 };
    case "bits":
      return { parameters: {}, largest: 1, steepest: 1 };
    case "bases": {
      const [shift, scale] = [test.tensor("in.shift").data, test.tensor("in.scale").data];
      const sum = scale.reduce((whole, beta) => whole + Math.abs(beta), 0);
      return { parameters: { shift, scale }, largest: sum, steepest: sum };
    }
    default:
      return rule satisfies never;
  }
}

/**
 * Gradients of its parameters.
 * @param name of the map's node
 */
export function activationGradients(
  test: OracleCase,
  { parameters, steepest }: CaseActivation,
  name: string,
  arena: ReadonlyMap<string, Float32Array>,
  { terms, product }: { readonly terms: number; readonly product: number },
): readonly Comparison[] {
  return Object.keys(parameters).map((parameter) => {
    const gradient = arena.get(`${name}.${parameter}`);
    if (!gradient) throw new RangeError(`no gradient of ${name}.${parameter}`);
    return summed(`d${parameter}`, gradient, test, terms, Math.max(1, steepest) * product);
  });
}
