// Oracle cases of the literature's methods: rules of latent weights as the coordinator applies them, and whole
// convolutions as workers compute them. What a case calls a method and its options is in methods/, a file a method; a
// case of one that is not here yet says so, by name.

import { z } from "zod";
import { networkManifest } from "../../shared/model/manifest.ts";
import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import { activationGradients, activationOf, quantiseRuleOf } from "./methods/activation.ts";
import type { CaseLayer, CaseMethod } from "./methods/case-method.ts";
import { combinedGraph, sentWeights } from "./methods/combined.ts";
import { effectiveOf, graphOf, layerOf } from "./methods/layer.ts";
import { outputGain, outputGradients, outputKind, outputParameters } from "./methods/output.ts";
import { caseMethod } from "./methods/table.ts";
import { runOperator } from "./operator-program.ts";
import type { OracleCase } from "./oracle-case.ts";
import { planeComparisons } from "./plane-cases.ts";
import type { Rig } from "./rig.ts";
import { rounded, SAFETY, summed } from "./tolerance.ts";

const shapeAttributes = z.object({ out: z.number(), in: z.number(), k: z.number() });

function effective(own: CaseMethod, of: CaseLayer): Float32Array {
  return own.effective?.(of) ?? effectiveOf(of);
}

function dweight(own: CaseMethod, of: CaseLayer, gradient: Float64Array): Float64Array {
  return own.dweight?.(of, gradient) ?? of.rule.gradients(of.layer, gradient).weight;
}

/** The oracle's ∂L/∂W̃ as a worker sends it. */
function sent(own: CaseMethod, of: CaseLayer, name: string): Float64Array {
  const gradient = Float64Array.from(of.test.weight(name));
  return own.sent?.(of, gradient) ?? gradient;
}

function ruleComparisons(own: CaseMethod, of: CaseLayer, gradient: Float64Array): Comparison[] {
  const { test, layer } = of;
  const filter = layer.weight.length / layer.shape[0];
  return [
    rounded("effective", effective(own, of), test),
    rounded("dweight", dweight(own, of, gradient), test, filter),
    ...(own.outs?.(of, gradient) ?? []),
  ];
}

export async function verifyWeightTransform(_: Rig, test: OracleCase): Promise<Comparison[]> {
  const { attributes } = test;
  const own = caseMethod(attributes);
  const method = own.create(attributes);
  const geometry = { ...shapeAttributes.parse(attributes), stride: 1, padding: 0 };
  // Of a map that is one window: nothing is computed on it.
  const graph = graphOf(method, { h: geometry.k, w: geometry.k }, geometry);
  const of = layerOf(own, method, graph, test, attributes);
  return ruleComparisons(own, of, sent(own, of, "grad.effective"));
}

const convolutionAttributes = shapeAttributes.extend({
  n: z.number(),
  h: z.number(),
  w: z.number(),
  stride: z.number(),
  padding: z.number(),
  weight: z.looseObject({}),
  activation: z.looseObject({ kind: z.string() }),
  output: z.string().optional(),
});

/** A case's layer with its latent weight, and what a worker has of it. @throws NotSupported */
export function quantizedConvOf(test: OracleCase) {
  const a = convolutionAttributes.parse(test.attributes);
  const own = caseMethod(a.weight);
  const method = own.create(a.weight, a);
  const of = layerOf(own, method, graphOf(method, a, a), test, a.weight);
  const graph = combinedGraph(of.graph, a);
  const [activation, output] = [activationOf(test, quantiseRuleOf(a.activation)), outputKind(a.output)];
  const given: Readonly<Record<string, Float32Array>> = {
    ...sentWeights(of, graph),
    ...prefixed("l.input", activation.parameters),
    ...outputParameters(test, output),
  };
  const parameters = new Map(
    networkManifest(graph).entries.flatMap(({ name }) => (given[name] ? [[name, given[name]] as const] : [])),
  );
  return { a, own, of, graph, activation, output, parameters };
}

export async function verifyQuantizedConv(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const { a, own, of, graph, activation, output, parameters } = quantizedConvOf(test);
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const result = await runOperator(rig, graph, a.n, parameters, x, dy);
  const gradient = result.arena.get("l.weight");
  if (!gradient) throw new RangeError("no gradient of l.weight");

  const { shape } = test.tensor("out.y");
  const [positions, taps] = [shape[0] * shape[2] * shape[3], a.k * a.k];
  const gain = (own.gain?.(test) ?? 1) * outputGain(test, output);
  const [scale, seed] = [maxAbs(effective(own, of)), maxAbs(dy)];
  const { largest, steepest } = activation;
  const product = seed * gain * largest;
  const expected = sent(own, of, "out.deffective");
  return [
    summed("y", result.y, test, taps * a.in, scale * gain * largest),
    summed("dx", result.dx, test, taps * a.out, steepest * seed * gain * scale),
    compare(
      "deffective",
      gradient,
      { shape: [expected.length], data: Float32Array.from(expected) },
      SAFETY * Math.sqrt(positions) * EPSILON * Math.max(product, maxAbs(expected)),
    ),
    summed(
      "dweight",
      dweight(own, of, Float64Array.from(gradient)),
      test,
      positions,
      product * maxAbs(test.tensor("out.dweight").data),
    ),
    ...(await planeComparisons(rig, test, graph, a.n, parameters, x, "out.activation_")),
    ...activationGradients(test, activation, "l.input", result.arena, {
      terms: x.length * taps * a.out,
      product: seed * gain * scale,
    }),
    ...outputGradients(test, output, result.arena, { terms: positions * a.out, product }),
    ...(own.measured?.(test, result.arena, { positions, product }) ?? []),
    ...ruleComparisons(own, of, expected),
  ];
}

function prefixed(
  name: string,
  tensors: Readonly<Record<string, Float32Array>>,
): Readonly<Record<string, Float32Array>> {
  return Object.fromEntries(Object.entries(tensors).map(([tensor, values]) => [`${name}.${tensor}`, values]));
}
