// Oracle cases of whole updates of latent weights: the optimizer's step, then what the method does after it.

import { z } from "zod";
import type { LatentLayer, WeightRule } from "../../shared/model/methods/method.ts";
import { extrapolate } from "../../shared/model/methods/soft-mask.ts";
import { adamStep, glorotFactor, sgdStep } from "../../shared/model/optimizer.ts";
import type { Comparison } from "./compare.ts";
import type { Options } from "./methods/case-method.ts";
import { portionPhase } from "./methods/inq.ts";
import { product } from "./methods/product.ts";
import type { OracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";
import { rounded, same } from "./tolerance.ts";

const adamAttributes = z.object({
  out: z.number(),
  in: z.number(),
  k: z.number(),
  step: z.number(),
  learningRate: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  glorot: z.boolean().default(false),
});

function ruleOf(options: Options): WeightRule {
  const { rule, kind } = product(options);
  if (!rule) throw new RangeError(`${kind} has no rule`);
  return rule;
}

/** Adam on the latent weight of a case, then what the method does to it. */
function afterAdam(rule: WeightRule, test: OracleCase, companions: LatentLayer["companions"]) {
  const { out, in: input, k, step, learningRate, betas, glorot } = adamAttributes.parse(test.attributes);
  const shape = [out, k, k, input] as const;
  const [weight, first, second] = ["weight", "first", "second"].map((name) => test.weight(`in.${name}`).slice());
  const layer: LatentLayer = { shape, weight, companions, secondMoment: second };
  const gradient = rule.gradients(layer, Float64Array.from(test.weight("grad.effective")));
  const previous = weight.slice();
  const rate = learningRate * (glorot ? glorotFactor(shape) : 1);
  adamStep(weight, gradient.weight, first, second, step, { learningRate: rate, betas });
  rule.settle?.(layer, previous);
  const same = [rounded("weight", weight, test), rounded("first", first, test), rounded("second", second, test)];
  return { layer, comparisons: same };
}

/** BNN's: the clip follows. */
export async function verifyBnnStep(_: Rig, test: OracleCase): Promise<Comparison[]> {
  return afterAdam(ruleOf({ kind: "bnn" }), test, { c: Float32Array.of(1) }).comparisons;
}

/** LAB's: the clip follows, then the scale of the next forward pass. */
export async function verifyLabStep(_: Rig, test: OracleCase): Promise<Comparison[]> {
  const rule = ruleOf({ kind: "lab" });
  const { layer, comparisons } = afterAdam(rule, test, {});
  const [planes, alpha] = ["planes", "c"].map((name) => rule.companion(name, layer));
  const effective = planes.map((sign) => sign * alpha[0]);
  return [...comparisons, rounded("alpha", alpha, test), rounded("effective", effective, test)];
}

const inqAttributes = z.object({
  out: z.number(),
  in: z.number(),
  k: z.number(),
  bits: z.number(),
  portion: z.number(),
  learningRate: z.number(),
  momentum: z.number(),
  weightDecay: z.number(),
});

/** INQ's: SGD whose update leaves frozen weights alone, then the next portion. */
export async function verifyInqStep(_: Rig, test: OracleCase): Promise<Comparison[]> {
  const { out, in: input, k, bits, portion, ...sgd } = inqAttributes.parse(test.attributes);
  const rule = ruleOf({ kind: "inq", bits });
  const [weight, momentum, frozen, n1] = ["weight", "momentum", "frozen", "n1"].map((name) =>
    test.weight(`in.${name}`).slice(),
  );
  const layer: LatentLayer = { shape: [out, k, k, input], weight, companions: { frozen, n1 } };
  const gradient = rule.gradients(layer, Float64Array.from(test.weight("grad.weight")));
  const previous = weight.slice();
  sgdStep(weight, gradient.weight, momentum, { ...sgd, nesterov: false });
  rule.settle?.(layer, previous);
  rule.begin?.(layer, portionPhase(portion));
  return [rounded("weight", weight, test), rounded("momentum", momentum, test), same("frozen", frozen, test)];
}

/** The pruned RBCN's: a proximal step of soft masks, which belong to a layer with a filter for each. */
export async function verifyMaskStep(_: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = z
    .object({ n: z.number(), alpha: z.number(), learningRate: z.number(), lambda: z.number() })
    .parse(test.attributes);
  const { rule } = product({ kind: "rbcn-pruned", lambdaMask: a.lambda });
  const [mask, before] = ["mask", "before"].map((name) => test.tensor(`in.${name}`).data.slice());
  const companions = { mask, before, momentum: Float32Array.of(a.alpha), waited: Float32Array.of(0) };
  const extrapolated = extrapolate(mask, before, a.alpha);
  rule?.learn?.mask(
    { shape: [a.n, 1, 1, 1], weight: new Float32Array(a.n), companions },
    Float64Array.from(test.tensor("grad.mask").data),
    a.learningRate,
  );
  return [
    rounded("extrapolated", extrapolated, test),
    rounded("mask", mask, test),
    rounded("momentum", companions.momentum, test),
  ];
}
