// Oracle cases of the literature's methods: rules of latent weights as the coordinator applies them, signs of
// activations and whole binary convolutions as workers compute them. A case of a method that is not here yet says so,
// by name.

import { z } from "zod";
import { GraphBuilder } from "../../shared/model/graph.ts";
import { latentEntries, networkManifest } from "../../shared/model/manifest.ts";
import type { LatentLayer, Method } from "../../shared/model/methods/method.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { adamStep, glorotFactor } from "../../shared/model/optimizer.ts";
import type { Surrogate } from "../../shared/model/rectify.ts";
import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import { runOperator } from "./operator-program.ts";
import type { OracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";

/** What the product does not do yet: the case is counted as that, and neither passes nor fails. */
export class NotSupported extends Error {}

const shapeAttributes = z.object({ out: z.number(), in: z.number(), k: z.number() });
const weightAttributes = z.discriminatedUnion("method", [
  z.object({ method: z.literal("bnn"), open: z.boolean().default(false) }),
  z.object({
    method: z.literal("xnor"),
    gradient: z.enum(["analytic", "authors", "paper"]),
    factor: z.boolean().default(false),
    centre: z.boolean().default(false),
  }),
  z.object({ method: z.literal("bireal"), gradient: z.enum(["magnitude", "code"]) }),
]);
type WeightAttributes = z.output<typeof weightAttributes>;

const signs: Readonly<Record<string, Surrogate>> = { closed: "ste", open: "ste", bireal: "bireal" };

/** Factor over the size of a random walk of roundings. */
const SAFETY = 8;

/**
 * The product's method of a case's weights.
 * @param activation rule of the case's activations, where it has some
 * @throws NotSupported
 */
function methodOf(attributes: unknown, activation?: string): { method: Method; weight: WeightAttributes } {
  const { method: name } = z.object({ method: z.string() }).parse(attributes);
  if (!["bnn", "xnor", "bireal"].includes(name)) throw new NotSupported(`method ${name}`);
  const weight = weightAttributes.parse(attributes);
  const create = (kind: string, options: Readonly<Record<string, unknown>>) =>
    methods.get(kind).create({ kind, ...options });
  const method = (() => {
    switch (weight.method) {
      case "bnn":
        return create("bnn", { gradient: weight.open ? "open" : "plain" });
      case "xnor": {
        const gradient = { analytic: "analytic", authors: "code", paper: "printed" }[weight.gradient];
        return create("xnor", { gradient, factor: weight.factor, centre: weight.centre });
      }
      case "bireal":
        return create("bireal", { gradient: weight.gradient === "code" ? "pytorch" : "magnitude", clamp: false });
      default:
        return weight satisfies never;
    }
  })();
  // The case names both; a method has its own.
  const own = method.kind === "bireal" ? "bireal" : "ste";
  if (activation !== undefined && signs[activation] !== own) {
    throw new NotSupported(`method ${name} with activation ${activation}`);
  }
  return { method, weight };
}

/** The layer as it is sent: W settled where the case says so, and what follows from it. */
function layerOf(method: Method, weight: WeightAttributes, test: OracleCase): LatentLayer {
  const { out, in: input, k } = shapeAttributes.parse(test.attributes);
  const latent = test.weight("in.weight").slice();
  const bare = { shape: [out, k, k, input] as const, weight: latent, companions: {} };
  if (weight.method === "xnor" && weight.centre) method.rule?.settle?.(bare);
  return { ...bare, companions: { c: ruleOf(method).companion("c", bare) } };
}

function ruleOf({ rule, kind }: Method) {
  if (!rule) throw new RangeError(`${kind} has no rule`);
  return rule;
}

/** W̃ = C ⊙ sign W, f32. */
function effectiveOf({ weight, companions: { c } }: LatentLayer): Float32Array {
  const each = weight.length / c.length;
  return weight.map((w, i) => (w < 0 ? -c[Math.floor(i / each)] : c[Math.floor(i / each)]));
}

/** A value that is rounded once or twice. */
function rounded(name: string, actual: ArrayLike<number>, test: OracleCase, terms = 1): Comparison {
  const oracle = test.tensor(`out.${name}`);
  return compare(name, actual, oracle, SAFETY * Math.sqrt(terms) * EPSILON * Math.max(1e-30, maxAbs(oracle.data)));
}

function ruleComparisons(method: Method, layer: LatentLayer, gradient: Float32Array, test: OracleCase): Comparison[] {
  const { weight: dweight } = ruleOf(method).gradients(layer, Float64Array.from(gradient));
  const filter = layer.weight.length / layer.shape[0];
  return [
    ...(test.has("out.latent") ? [rounded("latent", layer.weight, test)] : []),
    ...(test.has("out.alpha") ? [rounded("alpha", layer.companions.c, test)] : []),
    rounded("effective", effectiveOf(layer), test),
    rounded("dweight", dweight, test, filter),
  ];
}

export async function verifyWeightTransform(_: Rig, test: OracleCase): Promise<Comparison[]> {
  const { method, weight } = methodOf(test.attributes);
  return ruleComparisons(method, layerOf(method, weight, test), test.weight("grad.effective"), test);
}

/**
 * Signs and their slope: each element is the one channel of a sample of its own, under a filter of the one weight +1.
 */
export async function verifyActivation(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = z
    .object({ kind: z.string(), n: z.number(), c: z.number(), h: z.number(), w: z.number() })
    .parse(test.attributes);
  const surrogate = signs[a.kind];
  if (!surrogate) throw new NotSupported(`activation ${a.kind}`);
  const g = new GraphBuilder({ h: a.h, w: a.w, c: 1 });
  const node = g.add({
    op: "rbconv",
    name: "l",
    input: g.input,
    out: 1,
    kernel: 1,
    stride: 1,
    padding: 0,
    rectify: "layer",
    surrogate,
    companions: [{ name: "c", role: "derived", shape: [1, 1, 1, 1] }],
  });
  const one = Float32Array.of(1);
  const parameters = new Map([
    ["l.weight", one],
    ["l.c", one],
  ]);
  const [x, dy] = [test.tensor("in.x"), test.tensor("grad.y")];
  const { y, dx } = await runOperator(rig, g.build(node), a.n * a.c, parameters, x.data, dy.data);
  const inPlace = (name: string, actual: Float32Array, bound: number) => {
    const oracle = test.tensor(`out.${name}`);
    // In the file's own order already, since a sample has one channel.
    return compare(name, actual, { ...oracle, shape: [oracle.data.length] }, bound);
  };
  return [inPlace("y", y, 0), inPlace("dx", dx, SAFETY * EPSILON * 2 * maxAbs(dy.data))];
}

export async function verifyQuantizedConv(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = z
    .object({
      n: z.number(),
      h: z.number(),
      w: z.number(),
      out: z.number(),
      in: z.number(),
      k: z.number(),
      stride: z.number(),
      padding: z.number(),
      weight: z.unknown(),
      activation: z.object({ kind: z.string() }),
      output: z.string().optional(),
    })
    .parse(test.attributes);
  if (a.output !== undefined) throw new NotSupported(`output ${a.output}`);
  const { method, weight } = methodOf(a.weight, a.activation.kind);
  const layer = layerOf(method, weight, test);
  const g = new GraphBuilder({ h: a.h, w: a.w, c: a.in });
  const node = method.body(g, {
    name: "l",
    input: g.input,
    out: a.out,
    kernel: a.k,
    stride: a.stride,
    padding: a.padding,
  });
  const graph = g.build(node);
  const [entries] = latentEntries(networkManifest(graph));
  const parameters = new Map([
    [entries.weight.name, layer.weight],
    [entries.companions.c.name, layer.companions.c],
  ]);
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const result = await runOperator(rig, graph, a.n, parameters, x, dy);
  const gradient = result.arena.get(entries.weight.name);
  if (!gradient) throw new RangeError(`no gradient named ${entries.weight.name}`);
  const { shape } = test.tensor("out.y");
  const [positions, taps, scale, seed] = [
    shape[0] * shape[2] * shape[3],
    a.k * a.k,
    maxAbs(layer.companions.c),
    maxAbs(dy),
  ];
  const sum = (name: string, actual: ArrayLike<number>, terms: number, product: number) => {
    const oracle = test.tensor(`out.${name}`);
    return compare(name, actual, oracle, SAFETY * Math.sqrt(terms) * EPSILON * Math.max(product, maxAbs(oracle.data)));
  };
  const { weight: dweight } = ruleOf(method).gradients(layer, Float64Array.from(gradient));
  return [
    sum("y", result.y, taps * a.in, scale),
    sum("dx", result.dx, taps * a.out, 2 * seed * scale),
    sum("deffective", gradient, positions, seed),
    sum("dweight", dweight, positions, seed * maxAbs(test.tensor("out.dweight").data)),
    ...ruleComparisons(method, layer, test.weight("out.deffective"), test),
  ];
}

/** Adam on the latent weight, then what the method does to it after an update. */
export async function verifyBnnStep(_: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = shapeAttributes
    .extend({
      step: z.number(),
      learningRate: z.number(),
      betas: z.tuple([z.number(), z.number()]),
      glorot: z.boolean().default(false),
    })
    .parse(test.attributes);
  const { rule } = methods.get("bnn").create({ kind: "bnn" });
  const shape = [a.out, a.k, a.k, a.in] as const;
  const [weight, first, second] = ["weight", "first", "second"].map((name) => test.weight(`in.${name}`).slice());
  const companions = { c: Float32Array.of(1) };
  const gradient = rule?.gradients({ shape, weight, companions }, Float64Array.from(test.weight("grad.effective")));
  if (!rule || !gradient) throw new RangeError("bnn has no rule");
  const learningRate = a.learningRate * (a.glorot ? glorotFactor(shape) : 1);
  adamStep(weight, gradient.weight, first, second, a.step, { learningRate, betas: a.betas });
  rule.settle?.({ shape, weight, companions });
  return [rounded("weight", weight, test), rounded("first", first, test), rounded("second", second, test)];
}

/** What a case of an operation needs that no method here has yet. */
export function notSupportedOperation(op: string): (rig: Rig, test: OracleCase) => Promise<Comparison[]> {
  return async (_, test) => {
    const { kind } = z.object({ kind: z.string().optional() }).parse(test.attributes);
    throw new NotSupported(kind === undefined ? op : `${op} ${kind}`);
  };
}
