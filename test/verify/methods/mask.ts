// The pruned RBCN's cases: a soft mask a filter behind the rectified convolution.

import { z } from "zod";
import { maxAbs } from "../compare.ts";
import { rounded, summed } from "../tolerance.ts";
import type { CaseLayer, CaseMethod } from "./case-method.ts";
import { effectiveOf } from "./layer.ts";
import { product } from "./product.ts";

const attributes = z.object({ c: z.enum(["kernel", "layer", "out", "filter"]) });

/** Each element with the mask of its filter. */
function masked({ layer }: Pick<CaseLayer, "layer">, values: ArrayLike<number>): Float64Array {
  const filter = layer.weight.length / layer.shape[0];
  return Float64Array.from(values, (value, i) => value * layer.companions.mask[Math.floor(i / filter)]);
}

export const maskCase: CaseMethod = {
  create: (weight) =>
    product({
      kind: "rbcn-pruned",
      maskPlace: "convolution",
      rectify: attributes.parse(weight).c,
      lambdaKernel: 0,
    }),
  companions: (test) => ({ c: test.weight("in.c"), mask: test.tensor("in.mask").data }),
  effective: (of) => Float32Array.from(masked(of, effectiveOf(of))),
  // The mask scales the output, so the gradient that a worker sends has it already.
  sent: masked,
  outs: (of, gradient) => {
    const { test, layer, rule } = of;
    const dc = rounded("dc", rule.gradients(layer, gradient).learned.c, test, gradient.length);
    if (!test.has("grad.effective")) return [dc];
    // Workers measure it behind the convolution; without one it is what W̃ is of the mask.
    const whole = test.weight("grad.effective");
    const dmask = layer.companions.mask.map(() => 0);
    const filter = whole.length / dmask.length;
    effectiveOf(of).forEach((w, i) => {
      dmask[Math.floor(i / filter)] += whole[i] * w;
    });
    return [dc, rounded("dmask", dmask, test, filter)];
  },
  measured: (test, arena, { positions, product: size }) => {
    const gradient = arena.get("l.mask");
    if (!gradient) throw new RangeError("no gradient of l.mask");
    return [summed("dmask", gradient, test, positions * test.tensor("in.weight").data.length, size)];
  },
  gain: (test) => maxAbs(test.tensor("in.mask").data),
};
