// TTQ's cases.

import { z } from "zod";
import { maxAbs } from "../compare.ts";
import { same, summed } from "../tolerance.ts";
import { quantiseRuleOf } from "./activation.ts";
import type { CaseMethod } from "./case-method.ts";
import { product } from "./product.ts";

const attributes = z.object({ threshold: z.number() });

export const ttqCase: CaseMethod = {
  create: (weight, convolution) => {
    const { threshold } = attributes.parse(weight);
    const rule = convolution && quantiseRuleOf(convolution.activation);
    const activations = rule?.kind === "bits" ? rule.bits : rule?.kind === "sign" ? "sign" : "float";
    return product({ kind: "ttq", threshold, activations });
  },
  companions: (test) => ({
    c: Float32Array.of(test.tensor("in.positive").data[0], test.tensor("in.negative").data[0]),
  }),
  outs: ({ test, rule, layer }, gradient) => {
    const { planes } = layer.companions;
    const n = layer.weight.length;
    const codes = Float32Array.from({ length: n }, (_, i) => (planes[n + i] < 0 ? 0 : planes[i]));
    const [positive, negative] = rule.gradients(layer, gradient).learned.c;
    const sum = (name: string, value: number) => summed(name, [value], test, n, maxAbs(gradient));
    return [same("codes", codes, test), sum("dpositive", positive), sum("dnegative", negative)];
  },
};
