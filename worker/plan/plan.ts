// Compiles a phase into the launches of one microbatch: forward, losses, backward, and the sum into the lease's
// accumulator.

import type { Packing } from "../../kernels/layers/pack-lanes.ts";
import { collectMetrics } from "../../kernels/losses/collect-metrics.ts";
import { accumulateExact, accumulateFloat } from "../../kernels/steps/accumulate.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Accumulation } from "../../shared/codecs/codec.ts";
import { type Graph, graphInputs, type NodeId } from "../../shared/model/graph.ts";
import type { Loss, Phase } from "../../shared/model/phases.ts";
import { type Networks, networkNamed, wireManifest } from "../../shared/run/networks.ts";
import { type ContributionLayout, METRICS, phaseLayout } from "../../shared/wire/contribution.ts";
import { type BlobLayout, blobLayout } from "../../shared/wire/parameter-blob.ts";
import { recordBackward } from "./backward.ts";
import { adversarialScale, pooledMaps, recordAdversarial } from "./discriminators.ts";
import { outputOf, recordForward } from "./forward.ts";
import type { MemoryMode } from "./kept-values.ts";
import { type ChooseTiling, type ExternalBuffer, frozenBuffer, LaunchList, type Ref } from "./launch-list.ts";
import { outputElements, sampleSize } from "./network-buffers.ts";
import { NodeGradients } from "./node-gradients.ts";
import { type PlanMemory, planMemory } from "./plan-memory.ts";
import type { RecordLoss } from "./task-loss.ts";

/** Bound of one microbatch's value in units: 128 microbatches of a lease still fit an i32. */
export const EXACT_CLIP = 2 ** 23 - 1;

export interface LocalPlan {
  readonly layout: ContributionLayout;
  /** A parameter as kernels read it. */
  readonly parameter: (name: string) => Ref;
  /** Records what becomes of the microbatch's gradients; without it they are summed. */
  readonly spend?: (list: LaunchList) => void;
}

export interface PlanOptions {
  readonly networks: Networks;
  readonly phase: Phase;
  /** Samples of the microbatch. */
  readonly n: number;
  /** Of each loss, by kind; the phase's own where it has none. */
  readonly weights?: Readonly<Record<string, number>>;
  readonly adversarialReduce: "mean" | "sum";
  readonly loss: RecordLoss;
  /** Sum microbatches as integers (`exact`) or as floats. */
  readonly accumulate: Accumulation;
  /** Of a network whose replica takes inner steps (`sync: local`). */
  readonly local?: LocalPlan;
  /** Also computes ∂L/∂inputs, and the teacher's logits; training never wants them. */
  readonly inputGradients?: boolean;
  readonly teacherLogits?: boolean;
  /** The tiling of each convolution pass; the kernels' own first choice unless given. */
  readonly choose?: ChooseTiling;
  /** Who packs signs; an invocation a word unless given. */
  readonly packing?: Packing;
  /**
   * Quads share rows in the discriminators' products (kernels/text/quads.ts), of which no tuner chooses; they do not
   * unless given.
   */
  readonly quads?: boolean;
  /** What backward computes a second time instead of keeping it; nothing unless given. */
  readonly memory?: MemoryMode;
}

export interface Plan {
  readonly list: LaunchList;
  readonly layout: ContributionLayout;
  /** The network's output, which the loss is computed of, f32 [n][h][w][c]; dead after the launches unless kept. */
  readonly logits: Ref;
  readonly teacherLogits?: Ref;
  /** By the input's name. */
  readonly inputGradients?: ReadonlyMap<string, Ref>;
  readonly memory: PlanMemory;
}

/** Ref of each tensor of a parameter blob. */
export function blobRefs(buffer: ExternalBuffer, layout: BlobLayout): (name: string) => Ref {
  return (name) => {
    const tensor = layout.tensors.get(name);
    if (!tensor) throw new RangeError(`no parameter named ${name}`);
    return { kind: "external", buffer, offset: tensor.offset, bytes: tensor.bytes };
  };
}

/** Arena range of each tensor of a contribution; undefined for one that the round does not send. */
export function arenaRefs(layout: ContributionLayout): (name: string) => Ref | undefined {
  const refs = new Map<string, Ref>(
    layout.tensors.map((t) => [
      t.name,
      { kind: "external", buffer: "gradient", offset: 4 * t.offset, bytes: 4 * t.size },
    ]),
  );
  return (name) => refs.get(name);
}

function present(ref: (name: string) => Ref | undefined): (name: string) => Ref {
  return (name) => {
    const found = ref(name);
    if (!found) throw new RangeError(`the contribution has no tensor named ${name}`);
    return found;
  };
}

function external(buffer: ExternalBuffer, bytes: number): Ref {
  return { kind: "external", buffer, offset: 0, bytes };
}

/** An input of a network over the microbatch, f32 [n][h][w][c]. */
function sampleInput(graph: Graph, name: string, n: number): Ref {
  const input = graphInputs(graph).find((known) => known.name === name);
  if (!input) throw new RangeError(`the network has no input named ${name}`);
  return external(`sample.${name}`, 4 * n * sampleSize(graph.shapes[input.node]));
}

/** A tensor of each compared map, by the map's node. */
function byMap(graph: Graph, refs: readonly (Ref | undefined)[]): ReadonlyMap<NodeId, Ref> {
  return new Map(graph.maps.flatMap(({ node }, i) => (refs[i] ? [[node, refs[i]] as const] : [])));
}

/** What this build computes of a phase's objective; the terms of latent weights are the coordinator's. */
interface Objective {
  readonly adversarial: Loss | undefined;
}

/** @throws MESSAGE_INVALID for a loss that this build cannot compute */
function objectiveOf({ name, losses }: Phase): Objective {
  let adversarial: Loss | undefined;
  for (const loss of losses) {
    if (loss.kind === "adversarial" && loss.teacher !== undefined) adversarial = loss;
    else if (loss.kind !== "method" && !(loss.kind === "task" && loss.weight === 1)) {
      throw new BitswarmError(
        "MESSAGE_INVALID",
        `phase ${name} has a ${loss.kind} loss of weight ${loss.weight}; this build computes task (of weight 1), method and adversarial: update it`,
      );
    }
  }
  return { adversarial };
}

export function compilePlan(options: PlanOptions): Plan {
  const { networks, phase, n } = options;
  const { network } = phase;
  const { graph } = networkNamed(networks, network);
  const { adversarial } = objectiveOf(phase);
  const list = new LaunchList(options.choose, options.packing);
  const layout = options.local?.layout ?? phaseLayout(networks, phase);
  const arena = arenaRefs(layout);
  const parameter = options.local?.parameter ?? blobRefs("parameters", blobLayout(wireManifest(networks, network)));
  const inputs = (name: string) => sampleInput(graph, name, n);
  const trains = !phase.evaluate;

  const tensors = { parameter, gradient: present(arena) };
  const pooled = adversarial ? pooledMaps(list, graph, n, tensors) : undefined;
  const needed = adversarial?.teacher === undefined ? undefined : networkNamed(networks, adversarial.teacher);
  const teacher =
    pooled && needed && adversarial?.teacher !== undefined
      ? recordForward(
          list,
          needed.graph,
          n,
          inputs,
          { parameter: blobRefs(frozenBuffer(adversarial.teacher), blobLayout(needed.manifest)) },
          { pooled: byMap(needed.graph, pooled.real), output: options.teacherLogits ?? false },
        )
      : undefined;
  const buffers = trains ? { parameter, statistic: present(arena) } : { parameter };
  const trace = recordForward(list, graph, n, inputs, buffers, pooled && { pooled: byMap(graph, pooled.fake) });

  const logits = outputOf(trace, graph.output);
  const task = options.loss(list, {
    n,
    output: logits,
    shape: graph.shapes[graph.output],
    target: (name, size) => external(`sample.${name}`, 4 * n * size),
    evaluates: !trains,
  });

  const gathered: Record<string, Ref> = { task: task.metrics, metrics: tensors.gradient(METRICS) };
  const layers = pooled ? graph.maps.length : 0;
  const { weights = {}, adversarialReduce: reduce } = options;
  const lambda = weights.adversarial ?? adversarial?.weight ?? 0;
  let dPooled: ReadonlyMap<NodeId, Ref> = new Map();
  if (pooled) {
    const { quads = false } = options;
    const compared = recordAdversarial(list, graph, pooled.real, pooled.fake, { n, lambda, reduce, quads, ...tensors });
    gathered.adversarial = compared.metrics;
    dPooled = byMap(graph, compared.dPooled);
  }
  const scale = layers > 0 ? adversarialScale(layers, reduce) : 1;
  list.run(collectMetrics({ tasks: task.metrics.bytes / 4, layers, scale }), gathered);
  const gradients = new NodeGradients(list, outputElements(graph, n));
  if (trains) {
    gradients.add(graph.output, task.gradient);
    recordBackward(list, graph, n, buffers, trace, gradients, {
      gradient: arena,
      inputGradient: options.inputGradients ?? false,
      dPooled,
      memory: options.memory ?? "keep",
    });
  }
  if (options.local?.spend) options.local.spend(list);
  else recordAccumulation(list, layout, n, options.accumulate);
  const teacherLogits = teacher && needed && options.teacherLogits ? outputOf(teacher, needed.graph.output) : undefined;
  const inputGradients = new Map<string, Ref>();
  for (const { name, node } of options.inputGradients ? graphInputs(graph) : []) {
    const gradient = gradients.get(node);
    if (gradient) inputGradients.set(name, gradient);
  }
  const memory = planMemory(list, graph, n, trains);
  return {
    list,
    layout,
    logits,
    memory,
    ...(teacherLogits && { teacherLogits }),
    ...(options.inputGradients && { inputGradients }),
  };
}

function recordAccumulation(list: LaunchList, layout: ContributionLayout, n: number, how: Accumulation): void {
  const { size, tensors, segments } = layout;
  const refs = {
    gradient: external("gradient", 4 * size),
    segments: external("segments", segments.byteLength),
    sum: external("sum", 4 * size),
    peak: external("peaks", 4 * tensors.length),
  };
  if (how === "exact") {
    const scale = external("scales", 4 * tensors.length);
    list.run(accumulateExact({ size, weight: n, clip: EXACT_CLIP }), { ...refs, scale });
  } else {
    list.run(accumulateFloat({ size, weight: n }), refs);
  }
}
