// Oracle cases of single layers: rbconv, conv, batchnorm, prelu, pool, kernel_loss.

import { z } from "zod";
import { kernelLoss } from "../../kernels/losses/kernel-loss.ts";
import { GraphBuilder, type Shape } from "../../shared/model/graph.ts";
import { rbcnGradients } from "../../shared/model/methods/rbcn.ts";
import { rectifyShape } from "../../shared/model/rectify.ts";
import { RUNNING_STATISTIC_MOMENTUM, runningStatistic } from "../../shared/model/running-statistic.ts";
import { LaunchList } from "../../worker/plan/launch-list.ts";
import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import { execute } from "./execute.ts";
import { runOperator } from "./operator-program.ts";
import type { OracleCase, OracleTensor } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";

/** Factor over the size of a random walk of roundings. */
const SAFETY = 8;

const window = { n: z.number(), h: z.number(), w: z.number() };
const convolution = {
  ...window,
  in: z.number(),
  out: z.number(),
  k: z.number(),
  stride: z.number(),
  padding: z.number(),
  groups: z.number().default(1),
};
const rectify = z.enum(["kernel", "layer", "out", "filter"]);
const rbconvAttributes = z.object({ ...convolution, c: rectify, surrogate: z.enum(["bireal", "ste"]) });
const convAttributes = z.object(convolution);
const channelAttributes = z.object({ ...window, c: z.number() });
const poolAttributes = z.object({
  ...window,
  kind: z.enum(["max", "avg", "global"]),
  c: z.number(),
  k: z.number(),
  stride: z.number(),
  padding: z.number(),
});
const kernelLossAttributes = z.object({
  out: z.number(),
  in: z.number(),
  k: z.number(),
  c: rectify,
  lambda: z.number(),
});

/**
 * A sum of K products rounds K partial sums, each as large as a product or as the result: SAFETY·√K·2⁻²⁴·max(|a||b|,
 * |result|).
 */
function sumBound(oracle: OracleTensor, terms: number, ...factors: readonly number[]): number {
  const product = factors.reduce((a, b) => a * b, 1);
  return SAFETY * Math.sqrt(terms) * EPSILON * Math.max(product, maxAbs(oracle.data));
}

/** Compares a sum of `terms` products whose factors are at most `factors`. */
function compareSum(
  name: string,
  actual: ArrayLike<number>,
  oracle: OracleTensor,
  terms: number,
  ...factors: readonly number[]
): Comparison {
  return compare(name, actual, oracle, sumBound(oracle, terms, ...factors));
}

function read(arena: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const found = arena.get(name);
  if (!found) throw new RangeError(`no gradient named ${name}`);
  return found;
}

export async function verifyConv(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = convAttributes.parse(test.attributes);
  const g = new GraphBuilder({ h: a.h, w: a.w, c: a.in });
  const node = g.add({
    op: "conv",
    name: "l",
    input: 0,
    out: a.out,
    kernel: a.k,
    stride: a.stride,
    padding: a.padding,
    groups: a.groups,
  });
  const weight = test.weight("in.weight");
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const result = await runOperator(rig, g.build(node), a.n, new Map([["l.weight", weight]]), x, dy);
  const { shape } = test.tensor("out.y");
  const taps = a.k * a.k;
  return [
    compareSum("y", result.y, test.tensor("out.y"), (taps * a.in) / a.groups, maxAbs(x), maxAbs(weight)),
    compareSum("dx", result.dx, test.tensor("out.dx"), (taps * a.out) / a.groups, maxAbs(dy), maxAbs(weight)),
    compareSum(
      "dweight",
      read(result.arena, "l.weight"),
      test.tensor("out.dweight"),
      shape[0] * shape[2] * shape[3],
      maxAbs(dy),
      maxAbs(x),
    ),
  ];
}

export async function verifyRbconv(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = rbconvAttributes.parse(test.attributes);
  const g = new GraphBuilder({ h: a.h, w: a.w, c: a.in });
  const { stride, padding, surrogate, groups } = a;
  const layer = { name: "l", input: 0, out: a.out, kernel: a.k, stride, padding, groups };
  const seen = a.in / groups;
  const c = { name: "c", role: "learned", shape: rectifyShape(a.c, a.out, a.k, seen) } as const;
  const node = g.add({ op: "rbconv", rectify: a.c, surrogate, companions: [c], ...layer });
  const [weight, rectifier] = [test.weight("in.weight"), test.weight("in.c")];
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const parameters = new Map([
    ["l.weight", weight],
    ["l.c", rectifier],
  ]);
  const result = await runOperator(rig, g.build(node), a.n, parameters, x, dy);
  const gradients = rbcnGradients(
    {
      shape: [a.out, a.k, a.k, seen],
      rectifierShape: rectifyShape(a.c, a.out, a.k, seen),
      weight,
      rectifier,
      gradient: Float64Array.from(read(result.arena, "l.weight")),
    },
    { kernelGradient: "direct", lambdaKernel: 0 },
  );
  const { shape } = test.tensor("out.y");
  const positions = shape[0] * shape[2] * shape[3];
  const scale = maxAbs(rectifier);
  const shared = weight.length / rectifier.length;
  return [
    compareSum("y", result.y, test.tensor("out.y"), a.k * a.k * seen, scale),
    compareSum("dx", result.dx, test.tensor("out.dx"), (a.k * a.k * a.out) / groups, maxAbs(dy), scale, 2),
    compareSum("dweight", gradients.weight, test.tensor("out.dweight"), positions, maxAbs(dy), scale, 2),
    compareSum("dc", gradients.rectifier, test.tensor("out.dc"), positions * shared, maxAbs(dy)),
  ];
}

export async function verifyBatchNorm(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = channelAttributes.parse(test.attributes);
  const g = new GraphBuilder({ h: a.h, w: a.w, c: a.c });
  const node = g.add({ op: "batchnorm", name: "l", input: 0 });
  const [weight, bias] = [test.weight("in.weight"), test.weight("in.bias")];
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const zeros = new Float32Array(a.c);
  const ones = new Float32Array(a.c).fill(1);
  const parameters = new Map([
    ["l.weight", weight],
    ["l.bias", bias],
    ["l.running_mean", zeros],
    ["l.running_var", ones],
  ]);
  const result = await runOperator(rig, g.build(node), a.n, parameters, x, dy);
  const rows = a.n * a.h * a.w;
  const mean = runningStatistic(zeros, read(result.arena, "l.running_mean"));
  const variance = runningStatistic(ones, read(result.arena, "l.running_var"));
  // x − mean cancels: its rounding is that of |x|, seen through invstd·weight.
  const deviations = Array.from(variance, (v) => (v - (1 - RUNNING_STATISTIC_MOMENTUM)) / RUNNING_STATISTIC_MOMENTUM);
  const invstd = 1 / Math.sqrt(Math.min(...deviations));
  const [slope, magnitude, seed] = [maxAbs(weight) * invstd, maxAbs(x), maxAbs(dy)];
  const normal = maxAbs(test.tensor("out.y").data) + magnitude * slope + maxAbs(bias);
  const spread = Math.max(...deviations);
  return [
    compare("y", result.y, test.tensor("out.y"), SAFETY * EPSILON * normal),
    compare("dx", result.dx, test.tensor("out.dx"), SAFETY * 4 * EPSILON * seed * slope * (1 + magnitude * invstd)),
    compareSum(
      "dweight",
      read(result.arena, "l.weight"),
      test.tensor("out.dweight"),
      rows,
      seed,
      4 + magnitude * invstd,
    ),
    compareSum("dbias", read(result.arena, "l.bias"), test.tensor("out.dbias"), rows, seed),
    compare("running_mean", mean, test.tensor("out.running_mean"), SAFETY * EPSILON * magnitude),
    compare(
      "running_var",
      variance,
      test.tensor("out.running_var"),
      SAFETY * EPSILON * (1 + spread + magnitude * Math.sqrt(spread)),
    ),
  ];
}

export async function verifyPrelu(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = channelAttributes.parse(test.attributes);
  const g = new GraphBuilder({ h: a.h, w: a.w, c: a.c });
  const node = g.activation("prelu", "l", 0);
  const weight = test.weight("in.weight");
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const result = await runOperator(rig, g.build(node), a.n, new Map([["l.weight", weight]]), x, dy);
  const slope = 1 + maxAbs(weight);
  return [
    compare("y", result.y, test.tensor("out.y"), SAFETY * EPSILON * maxAbs(x) * slope),
    compare("dx", result.dx, test.tensor("out.dx"), SAFETY * EPSILON * maxAbs(dy) * slope),
    compareSum(
      "dweight",
      read(result.arena, "l.weight"),
      test.tensor("out.dweight"),
      a.n * a.h * a.w,
      maxAbs(dy),
      maxAbs(x),
    ),
  ];
}

export async function verifyPool(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = poolAttributes.parse(test.attributes);
  const shape: Shape = { h: a.h, w: a.w, c: a.c };
  const g = new GraphBuilder(shape);
  const { kind, stride, padding } = a;
  const node =
    kind === "global"
      ? g.add({ op: "globalpool", input: 0 })
      : g.add({ op: "pool", kind, input: 0, kernel: a.k, stride, padding });
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const result = await runOperator(rig, g.build(node), a.n, new Map(), x, dy);
  const terms = kind === "global" ? a.h * a.w : a.k * a.k;
  // Max-pooling moves values, so its outputs are equal; all else are sums.
  const bound = kind === "max" ? 0 : SAFETY * EPSILON * maxAbs(x);
  return [
    compare("y", result.y, test.tensor("out.y"), bound),
    compareSum("dx", result.dx, test.tensor("out.dx"), terms, maxAbs(dy)),
  ];
}

/** L_Kernel twice: the kernel, and the function by which the coordinator applies it. */
export async function verifyKernelLoss(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = kernelLossAttributes.parse(test.attributes);
  const [weight, rectifier] = [test.weight("in.weight"), test.weight("in.c")];
  const list = new LaunchList(rig.choose);
  const external = (buffer: "parameters" | "sample.c", elements: number) =>
    ({ kind: "external", buffer, offset: 0, bytes: 4 * elements }) as const;
  const [loss, dweight, dc] = [list.tensor(1), list.tensor(weight.length), list.tensor(rectifier.length)];
  list.run(kernelLoss({ out: a.out, kernel: a.k, in: a.in, rectify: a.c, lambda: a.lambda }), {
    weight: external("parameters", weight.length),
    c: external("sample.c", rectifier.length),
    loss,
    dweight,
    dc,
  });
  for (const ref of [loss, dweight, dc]) list.keep(ref);
  const executed = await execute(rig.cache, list, { parameters: weight, "sample.c": rectifier });
  const host = rbcnGradients(
    {
      shape: [a.out, a.k, a.k, a.in],
      rectifierShape: rectifyShape(a.c, a.out, a.k, a.in),
      weight,
      rectifier,
      gradient: new Float64Array(weight.length),
    },
    { kernelGradient: "direct", lambdaKernel: a.lambda },
  );
  const residual = a.lambda * (maxAbs(weight) + maxAbs(rectifier));
  const bounds = {
    loss: SAFETY * EPSILON * Math.sqrt(weight.length) * maxAbs(test.tensor("out.loss").data),
    dweight: SAFETY * EPSILON * residual,
    dc: sumBound(test.tensor("out.dc"), weight.length / rectifier.length, residual),
  };
  const results = [
    compare("loss", await executed.read(loss), test.tensor("out.loss"), bounds.loss),
    compare("dweight", await executed.read(dweight), test.tensor("out.dweight"), bounds.dweight),
    compare("dc", await executed.read(dc), test.tensor("out.dc"), bounds.dc),
    compare("coordinator loss", [host.kernelLoss], test.tensor("out.loss"), bounds.loss),
    compare("coordinator dweight", host.weight, test.tensor("out.dweight"), bounds.dweight),
    compare("coordinator dc", host.rectifier, test.tensor("out.dc"), bounds.dc),
  ];
  executed.destroy();
  return results;
}
