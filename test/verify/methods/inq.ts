// INQ's cases.

import { z } from "zod";
import { powerLevels } from "../../../shared/model/methods/powers-of-two.ts";
import type { Phase } from "../../../shared/model/phases.ts";
import { same } from "../tolerance.ts";
import type { CaseMethod } from "./case-method.ts";
import { product } from "./product.ts";

const attributes = z.object({ bits: z.number(), portion: z.number() });

/** A phase that freezes this share of the weights. */
export function portionPhase(portion: number): Phase {
  return {
    name: "portion",
    title: "portion",
    doing: "freezing a portion",
    network: "student",
    trains: [{ portion }],
    partners: [],
    needs: [],
    losses: [{ kind: "task", weight: 1 }],
    evaluate: false,
    learningRate: 1,
  };
}

export const inqCase: CaseMethod = {
  create: (weight) => product({ kind: "inq", bits: attributes.parse(weight).bits }),
  companions: (test) => ({
    frozen: test.weight("in.frozen"),
    ...(test.has("in.n1") ? { n1: test.weight("in.n1") } : {}),
  }),
  prepare: (rule, layer, weight) => rule.begin?.(layer, portionPhase(attributes.parse(weight).portion)),
  // What is left of an update by the gradient itself.
  dweight: ({ rule, layer }, gradient) => {
    const update = Float32Array.from(rule.gradients(layer, gradient).weight);
    rule.settle?.({ ...layer, weight: update }, new Float32Array(update.length));
    return Float64Array.from(update);
  },
  outs: ({ test, layer }) => {
    const { frozen, n1 } = layer.companions;
    const { attributes: all } = test;
    const { bits } = attributes.parse(z.object({ weight: z.unknown().optional() }).parse(all).weight ?? all);
    return [same("frozen", frozen, test), same("n1", n1, test), same("n2", [powerLevels(n1[0], bits).least], test)];
  },
};
