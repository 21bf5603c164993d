// Oracle cases of a tracker's training: the loss of a response, and whole steps of SiamFC and of its 1-bit form,
// through the plan that training compiles.

import { z } from "zod";
import { networkManifest } from "../../shared/model/manifest.ts";
import { fullPrecision } from "../../shared/model/methods/full.ts";
import { rbcn, rbcnGradients } from "../../shared/model/methods/rbcn.ts";
import { EXEMPLAR, SEARCH, siamFc } from "../../shared/model/networks/siamfc.ts";
import { networkOf } from "../../shared/run/networks.ts";
import { RESPONSE_STRIDE, responseHead, responseMetrics } from "../../shared/tasks/response.ts";
import { METRICS } from "../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob, type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { LaunchList, type Ref } from "../../worker/plan/launch-list.ts";
import { compilePlan } from "../../worker/plan/plan.ts";
import { responseLoss } from "../../worker/tasks/response.ts";
import { phaseOf } from "../fixtures/phases.ts";
import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import { execute } from "./execute.ts";
import { NETWORK_TOLERANCE, relative, runPlan } from "./network-cases.ts";
import type { OracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";
import { SAFETY } from "./tolerance.ts";

const lossAttributes = z.object({
  n: z.number(),
  h: z.number(),
  w: z.number(),
  radius: z.number(),
  stride: z.number(),
});

export async function verifyBalancedLogistic(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const { n, h, w, radius, stride } = lossAttributes.parse(test.attributes);
  const list = new LaunchList(rig.choose);
  const scores = test.map("in.scores");
  const output: Ref = { kind: "external", buffer: "sample.scores", offset: 0, bytes: scores.byteLength };
  const loss = responseLoss({ radius: (radius / stride) * RESPONSE_STRIDE });
  const target = (name: string): Ref => {
    throw new RangeError(`the loss of a response has no target ${name}`);
  };
  const { gradient, metrics } = loss(list, { n, output, shape: { h, w, c: 1 }, target, evaluates: false });
  for (const ref of [gradient, metrics]) list.keep(ref);
  const executed = await execute(rig.cache, list, { "sample.scores": scores });
  const [mean] = await executed.read(metrics);
  const results = [
    compare("loss", [mean], test.tensor("out.loss"), SAFETY * EPSILON * Math.sqrt(n * h * w) * maxAbs(scores)),
    relative("dscores", await executed.read(gradient), test.tensor("out.dscores"), SAFETY * EPSILON * 4),
  ];
  executed.destroy();
  return results;
}

const width = z.number();
const attributes = z.object({
  variant: z.enum(["reference", "teacher", "student"]),
  n: z.number(),
  widths: z.tuple([width, width, width, width, width]),
  z: z.number(),
  x: z.number(),
  groups: z.number().default(2),
  binary: z.enum(["conv2-conv4", "conv2-conv5"]).default("conv2-conv4"),
  c: z.enum(["kernel", "layer", "out", "filter"]),
  surrogate: z.enum(["bireal", "ste"]).default("bireal"),
  eps: z.number(),
  momentum: z.number(),
  scale: z.number(),
  radius: z.number(),
});
type Attributes = z.output<typeof attributes>;

function networkFor(a: Attributes) {
  const options = {
    rectify: a.c,
    surrogate: a.surrogate,
    kernelGradient: "direct",
    lambdaKernel: 0,
  } as const;
  const method = a.variant === "student" ? rbcn(options) : fullPrecision;
  const order = a.variant === "reference" ? "reference" : "rbcn";
  const side = (name: string, size: number) => ({ name, h: size, w: size, c: 3 });
  const io = {
    inputs: [side(EXEMPLAR, a.z), side(SEARCH, a.x)] as const,
    head: responseHead({ responseScale: a.scale }),
  };
  const { widths, groups, binary, eps: epsilon } = a;
  const graph = siamFc({ widths, groups, binary, order, epsilon }, io, method);
  return { graph, options, network: networkOf(graph, method, responseMetrics) };
}

/** A step of training, or an evaluation of it. */
async function compute(rig: Rig, a: Attributes, test: OracleCase, parameters: Parameters, evaluates: boolean) {
  const { network } = networkFor(a);
  const method = { kind: "rbcn", ablation: "R" };
  const plan = compilePlan({
    networks: { student: network },
    phase: phaseOf(evaluates ? "evaluate-student" : "student", { method }),
    n: a.n,
    adversarialReduce: "mean",
    loss: responseLoss({ radius: a.radius }),
    accumulate: "exact",
    choose: rig.choose,
    quads: rig.quads,
  });
  const { manifest } = network;
  return runPlan(rig, plan, manifest, {
    parameters: encodeBlob(manifest, blobLayout(manifest), parameters),
    [`sample.${EXEMPLAR}`]: test.map("in.z"),
    [`sample.${SEARCH}`]: test.map("in.x"),
  });
}

/** The running statistic that two batches leave, the exemplar's first. */
function folded(running: ArrayLike<number>, batches: readonly ArrayLike<number>[], momentum: number): Float64Array {
  return batches.reduce<Float64Array>(
    (before, batch) => before.map((value, i) => (1 - momentum) * value + momentum * batch[i]),
    Float64Array.from(running),
  );
}

/** Of the gradient of W̃ that workers send, what the coordinator makes of it. */
function latentGradients(
  { options, graph }: Pick<ReturnType<typeof networkFor>, "options" | "graph">,
  name: string,
  parameters: Parameters,
  wire: Float32Array,
) {
  const { entries } = networkManifest(graph);
  const shapeOf = (of: string) => entries.find((entry) => entry.name === of)?.shape as Shape4;
  const c = name.replace(/weight$/, "c");
  return rbcnGradients(
    {
      shape: shapeOf(name),
      rectifierShape: shapeOf(c),
      weight: parameter(parameters, name),
      rectifier: parameter(parameters, c),
      gradient: Float64Array.from(wire),
    },
    options,
  );
}
type Shape4 = [number, number, number, number];

export async function verifySiamFc(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = attributes.parse(test.attributes);
  const { graph, options, network } = networkFor(a);
  const { entries } = network.manifest;
  const parameters: Parameters = new Map(entries.map(({ name }) => [name, test.weight(`in.${name}`)]));
  const run = await compute(rig, a, test, parameters, false);
  const results = [
    relative("response", run.logits, test.tensor("out.response"), NETWORK_TOLERANCE),
    relative("loss", run.arena(METRICS).slice(0, 1), test.tensor("out.loss"), NETWORK_TOLERANCE),
  ];
  const after = new Map(parameters);
  const check = (name: string, values: ArrayLike<number>, summands = 0) => {
    results.push(relative(`${name}.grad`, values, test.tensor(`out.${name}.grad`), NETWORK_TOLERANCE, summands));
  };
  for (const { name, role } of entries) {
    switch (role) {
      case "latent": {
        const wire = run.arena(name);
        const { weight, rectifier } = latentGradients({ options, graph }, name, parameters, wire);
        check(name, weight);
        // Batch norm undoes a scale per channel, so the terms of ∂L/∂C cancel almost wholly.
        const summands = maxAbs(wire) * Math.sqrt(wire.length / rectifier.length);
        check(name.replace(/weight$/, "c"), rectifier, summands);
        break;
      }
      case "float":
        check(name, run.arena(name));
        break;
      case "statistic": {
        const value = folded(parameter(parameters, name), [run.arena(name), run.arena(`${name}#1`)], a.momentum);
        results.push(relative(name, value, test.tensor(`out.${name}`), NETWORK_TOLERANCE));
        after.set(name, Float32Array.from(value));
        break;
      }
      case "learned":
      case "derived":
      case "state":
      case "critic":
        break;
      default:
        role satisfies never;
    }
  }
  const evaluated = await compute(rig, a, test, after, true);
  results.push(relative("eval.response", evaluated.logits, test.tensor("out.eval.response"), NETWORK_TOLERANCE));
  return results;
}
