// Oracle cases of losses and of one whole RBCN mini-batch, run through the plan that training compiles.

import { z } from "zod";
import { globalAveragePoolBackward, globalAveragePoolForward } from "../../kernels/layers/global-average-pool.ts";
import { type Graph, GraphBuilder, INPUT } from "../../shared/model/graph.ts";
import { discriminatorManifest, type Manifest, networkManifest } from "../../shared/model/manifest.ts";
import { fullPrecision } from "../../shared/model/methods/full.ts";
import { rbcn, rbcnGradients } from "../../shared/model/methods/rbcn.ts";
import { residualNetwork } from "../../shared/model/networks/residual.ts";
import { runningStatistic } from "../../shared/model/running-statistic.ts";
import { type Networks, networkOf, wireManifest } from "../../shared/run/networks.ts";
import { classification } from "../../shared/tasks/classification.ts";
import { contributionLayout, METRICS } from "../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob, type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { recordAdversarial } from "../../worker/plan/discriminators.ts";
import { frozenBuffer, LaunchList, type Ref, slice } from "../../worker/plan/launch-list.ts";
import { arenaRefs, blobRefs, compilePlan, type Plan } from "../../worker/plan/plan.ts";
import { classificationLoss } from "../../worker/tasks/classification.ts";
import { everything, phaseOf } from "../fixtures/phases.ts";
import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import { execute, type HostData, roundData } from "./execute.ts";
import type { OracleCase, OracleTensor } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";

/**
 * Bound of a tensor at the end of a network, relative to its largest value: a chain of some tens of layers, each of
 * which loses a few bits of 24 (batch norm's backward subtracts nearly equal terms).
 */
export const NETWORK_TOLERANCE = 2 ** 10 * EPSILON;
/** Bound of a short chain: one linear layer with its loss, or one discriminator. */
const CHAIN_TOLERANCE = 2 ** 6 * EPSILON;

const linearAttributes = z.object({
  n: z.number(),
  in: z.number(),
  classes: z.number(),
  label_smoothing: z.number().default(0),
});
const discriminatorAttributes = z.object({ n: z.number(), c: z.number(), h: z.number(), w: z.number() });
const stepAttributes = z.object({
  n: z.number(),
  h: z.number(),
  w: z.number(),
  widths: z.array(z.number()),
  blocks: z.array(z.number()),
  classes: z.number(),
  c: z.enum(["kernel", "layer", "out", "filter"]),
  surrogate: z.enum(["bireal", "ste"]).default("bireal"),
  activation: z.enum(["prelu", "relu", "hardtanh", "identity"]).default("prelu"),
  label_smoothing: z.number().default(0),
  lambda_kernel: z.number(),
  lambda_adv: z.number(),
  stem: z.object({ kernel: z.number(), stride: z.number(), padding: z.number(), maxpool: z.boolean() }),
});

/** @param summands size of the terms that cancel in the tensor, where that is more than the tensor itself */
export function relative(
  name: string,
  actual: ArrayLike<number>,
  oracle: OracleTensor,
  tolerance: number,
  summands = 0,
): Comparison {
  return compare(name, actual, oracle, tolerance * Math.max(maxAbs(oracle.data), summands, Number.MIN_VALUE));
}

interface PlanRun {
  readonly arena: (name: string) => Float32Array;
  readonly logits: Float32Array;
  readonly teacherLogits: Float32Array | undefined;
  readonly inputGradient: Float32Array | undefined;
}

export async function runPlan(rig: Rig, plan: Plan, manifest: Manifest, data: HostData): Promise<PlanRun> {
  const inputGradient = plan.inputGradients?.get(INPUT);
  const kept = [plan.logits, plan.teacherLogits, inputGradient].filter((ref) => ref !== undefined);
  for (const ref of kept) plan.list.keep(ref);
  const executed = await execute(rig.cache, plan.list, { ...roundData(manifest), ...data });
  const ref = arenaRefs(plan.layout);
  const values = new Map<string, Float32Array>();
  for (const { name } of plan.layout.tensors) values.set(name, await executed.read(ref(name) as Ref));
  const optional = (r: Ref | undefined) => (r ? executed.read(r) : undefined);
  const run = {
    arena: (name: string) => parameter(values, name),
    logits: await executed.read(plan.logits),
    teacherLogits: await optional(plan.teacherLogits),
    inputGradient: await optional(inputGradient),
  };
  executed.destroy();
  return run;
}

export async function verifyLinearCrossEntropy(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = linearAttributes.parse(test.attributes);
  const g = new GraphBuilder({ h: 1, w: 1, c: a.in });
  const graph = g.build(g.add({ op: "linear", name: "fc", input: 0, out: a.classes }));
  const manifest = networkManifest(graph);
  const networks: Networks = { teacher: networkOf(graph, fullPrecision, classification.metrics) };
  const plan = compilePlan({
    networks,
    phase: phaseOf("teacher"),
    n: a.n,
    adversarialReduce: "mean",
    loss: classificationLoss(a.label_smoothing),
    accumulate: "exact",
    inputGradients: true,
    choose: rig.choose,
  });
  const [weight, bias] = [test.weight("in.weight"), test.weight("in.bias")];
  const parameters = new Map([
    ["fc.weight", weight],
    ["fc.bias", bias],
  ]);
  const run = await runPlan(rig, plan, manifest, {
    parameters: encodeBlob(manifest, blobLayout(manifest), parameters),
    "sample.input": test.map("in.x"),
    "sample.label": test.labels("in.labels"),
  });
  return [
    relative("logits", run.logits, test.tensor("out.logits"), CHAIN_TOLERANCE),
    relative("loss", run.arena(METRICS).slice(0, 1), test.tensor("out.loss"), CHAIN_TOLERANCE),
    relative("dx", run.inputGradient ?? [], test.tensor("out.dx"), CHAIN_TOLERANCE),
    relative("dweight", run.arena("fc.weight"), test.tensor("out.dweight"), CHAIN_TOLERANCE),
    relative("dbias", run.arena("fc.bias"), test.tensor("out.dbias"), CHAIN_TOLERANCE),
  ];
}

/** A graph whose only map is its input, so that one discriminator can be run alone. */
function mapGraph(h: number, w: number, c: number): Graph {
  const g = new GraphBuilder({ h, w, c });
  g.compare("d", g.input);
  return g.build(g.input);
}

export async function verifyDiscriminator(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = discriminatorAttributes.parse(test.attributes);
  const graph = mapGraph(a.h, a.w, a.c);
  const manifest = discriminatorManifest(graph);
  const layout = contributionLayout(manifest, everything);
  const blob = blobLayout(manifest);
  const arena = arenaRefs(layout);
  const elements = a.n * a.h * a.w * a.c;
  const list = new LaunchList(rig.choose);
  const external = (buffer: "sample.real" | "sample.fake"): Ref => ({
    kind: "external",
    buffer,
    offset: 0,
    bytes: 4 * elements,
  });
  const pooling = { n: a.n, positions: a.h * a.w, channels: a.c };
  const [real, fake] = (["sample.real", "sample.fake"] as const).map((map) => {
    const y = list.tensor(a.n * a.c);
    list.run(globalAveragePoolForward(pooling), { x: external(map), y });
    return y;
  });
  const { metrics, dPooled } = recordAdversarial(list, graph, [real], [fake], {
    n: a.n,
    lambda: 1,
    reduce: "mean",
    quads: rig.quads,
    parameter: blobRefs("parameters", blob),
    gradient: (name) => arena(name) as Ref,
  });
  const dfake = list.tensor(elements);
  list.run(globalAveragePoolBackward({ ...pooling, accumulate: false }), { dy: dPooled[0] as Ref, dx: dfake });
  list.keep(metrics);
  list.keep(dfake);
  const oracleName = (name: string) => name.replace("discriminator.d.", "d.");
  const parameters: Parameters = new Map(
    manifest.entries.map(({ name }) => [name, test.weight(`in.${oracleName(name)}`)]),
  );
  const executed = await execute(rig.cache, list, {
    ...roundData(manifest),
    parameters: encodeBlob(manifest, blob, parameters),
    "sample.real": test.map("in.real"),
    "sample.fake": test.map("in.fake"),
  });
  const losses = await executed.read(slice(metrics, 0, 2));
  const results = [
    relative("d_loss", losses.slice(0, 1), test.tensor("out.d_loss"), CHAIN_TOLERANCE),
    relative("g_loss", losses.slice(1, 2), test.tensor("out.g_loss"), CHAIN_TOLERANCE),
    relative("dfake", await executed.read(dfake), test.tensor("out.dfake"), CHAIN_TOLERANCE),
  ];
  for (const { name } of manifest.entries) {
    const values = await executed.read(arena(name) as Ref);
    results.push(
      relative(`${oracleName(name)}.grad`, values, test.tensor(`out.${oracleName(name)}.grad`), CHAIN_TOLERANCE),
    );
  }
  executed.destroy();
  return results;
}

export async function verifyRbcnStep(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = stepAttributes.parse(test.attributes);
  const options = {
    rectify: a.c,
    surrogate: a.surrogate,
    kernelGradient: "direct",
    lambdaKernel: a.lambda_kernel,
  } as const;
  const channels = test.tensor("in.x").shape[1];
  const described = { dataset: { shape: { h: a.h, w: a.w, c: channels }, classes: a.classes }, data: { pad: 0 } };
  const kind = { kind: classification.kind };
  const io = { inputs: classification.inputs(kind, described), head: classification.head(kind, described) };
  const { widths, blocks, stem, activation } = a;
  const build = (method: typeof fullPrecision) => {
    const graph = residualNetwork({ stem, stemWidth: widths[0], widths, blocks, activation }, io, method);
    return networkOf(graph, method, classification.metrics);
  };
  const student = build(rbcn(options));
  const networks: Networks = {
    teacher: build(fullPrecision),
    student: { ...student, partners: { discriminators: discriminatorManifest(student.graph) } },
  };
  const plan = compilePlan({
    networks,
    phase: phaseOf("student"),
    n: a.n,
    weights: { adversarial: a.lambda_adv },
    adversarialReduce: "mean",
    loss: classificationLoss(a.label_smoothing),
    accumulate: "exact",
    teacherLogits: true,
    choose: rig.choose,
    quads: rig.quads,
  });
  const manifest = wireManifest(networks, "student");
  const oracleName = (name: string) => (name.startsWith("discriminator.") ? name : `student.${name}`);
  const load = (m: Manifest, rename: (name: string) => string): Parameters =>
    new Map(m.entries.map(({ name }) => [name, test.weight(`in.${rename(name)}`)]));
  const parameters = load(manifest, oracleName);
  const teacher = load(networks.teacher.manifest, (name) => `teacher.${name}`);
  const run = await runPlan(rig, plan, manifest, {
    parameters: encodeBlob(manifest, blobLayout(manifest), parameters),
    [frozenBuffer("teacher")]: encodeBlob(networks.teacher.manifest, blobLayout(networks.teacher.manifest), teacher),
    "sample.image": test.map("in.x"),
    "sample.label": test.labels("in.labels"),
  });

  let kernel = 0;
  const gradients: Comparison[] = [];
  const check = (name: string, values: ArrayLike<number>, summands = 0) => {
    const oracle = test.tensor(`out.${oracleName(name)}.grad`);
    gradients.push(relative(`${oracleName(name)}.grad`, values, oracle, NETWORK_TOLERANCE, summands));
  };
  for (const { name, role, shape } of manifest.entries) {
    switch (role) {
      case "latent": {
        const cName = name.replace(/weight$/, "c");
        const c = manifest.entries.find((entry) => entry.name === cName);
        const latent = rbcnGradients(
          {
            shape: shape as [number, number, number, number],
            rectifierShape: c?.shape as [number, number, number, number],
            weight: parameter(parameters, name),
            rectifier: parameter(parameters, cName),
            gradient: Float64Array.from(run.arena(name)),
          },
          options,
        );
        kernel += latent.kernelLoss;
        check(name, latent.weight);
        // Batch norm undoes a scale per channel, so the terms of ∂L/∂C cancel almost wholly.
        const wire = run.arena(name);
        check(cName, latent.rectifier, maxAbs(wire) * Math.sqrt(wire.length / latent.rectifier.length));
        break;
      }
      case "learned":
      case "derived":
      case "state":
        break;
      case "float":
      case "critic":
        check(name, run.arena(name));
        break;
      case "statistic": {
        const value = runningStatistic(parameter(parameters, name), run.arena(name));
        const oracle = test.tensor(`out.${oracleName(name)}`);
        gradients.push(relative(oracleName(name), value, oracle, NETWORK_TOLERANCE));
        break;
      }
      default:
        role satisfies never;
    }
  }
  const metric = (name: string) => run.arena(METRICS)[plan.layout.metrics.indexOf(name)];
  const task = metric("task");
  const adversarial = metric("adversarial");
  const loss = (name: string, value: number) =>
    relative(`loss.${name}`, [value], test.tensor(`out.loss.${name}`), NETWORK_TOLERANCE);
  return [
    relative("logits", run.logits, test.tensor("out.logits"), NETWORK_TOLERANCE),
    relative("teacher.logits", run.teacherLogits ?? [], test.tensor("out.teacher.logits"), NETWORK_TOLERANCE),
    loss("task", task),
    loss("kernel", kernel),
    loss("adversarial", adversarial),
    loss("discriminator", metric("discriminator")),
    loss("total", task + kernel + a.lambda_adv * adversarial),
    ...gradients,
  ];
}
