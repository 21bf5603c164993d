// Compiles a phase into the launches of one microbatch: forward, losses, backward, and the sum into the lease's
// accumulator.

import type { Packing } from "../../kernels/layers/pack-lanes.ts";
import { collectMetrics } from "../../kernels/losses/collect-metrics.ts";
import { criticAnswers } from "../../kernels/losses/critic-answers.ts";
import { accumulateExact, accumulateFloat } from "../../kernels/steps/accumulate.ts";
import type { Accumulation } from "../../shared/codecs/codec.ts";
import { criticsOf, type Graph, graphInputs, type NodeId } from "../../shared/model/graph.ts";
import type { Loss, Phase } from "../../shared/model/phases.ts";
import { type Networks, networkNamed, wireManifest } from "../../shared/run/networks.ts";
import { type ContributionLayout, METRICS, phaseLayout } from "../../shared/wire/contribution.ts";
import { type BlobLayout, blobLayout } from "../../shared/wire/parameter-blob.ts";
import { recordBackward } from "./backward.ts";
import { adversarialScale, pooledMaps, recordAdversarial } from "./discriminators.ts";
import { type ForwardTrace, outputOf, recordForward } from "./forward.ts";
import type { MemoryMode } from "./kept-values.ts";
import {
  type ChooseTiling,
  type ExternalBuffer,
  frozenBuffer,
  type IsSmall,
  LaunchList,
  type Ref,
} from "./launch-list.ts";
import { outputElements, sampleSize } from "./network-buffers.ts";
import { NodeGradients } from "./node-gradients.ts";
import {
  type ComparedSide,
  comparedLosses,
  comparesOutputs,
  readMaps,
  recordObjective,
  requireKnown,
  weighTask,
} from "./objective-losses.ts";
import { type PlanMemory, planMemory } from "./plan-memory.ts";
import type { RecordLoss } from "./task-loss.ts";
import { recordTwin, type Twin } from "./twin.ts";

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
  /** Which of the discriminators' products are computed by what compiles soonest; none unless given. */
  readonly isSmall?: IsSmall;
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

export function compilePlan(options: PlanOptions): Plan {
  const { networks, phase, n } = options;
  const { network } = phase;
  const { graph, twins } = networkNamed(networks, network);
  requireKnown(phase);
  const adversarial = phase.losses.find(({ kind }) => kind === "adversarial");
  const compared = comparedLosses(phase);
  const list = new LaunchList(options.choose, options.packing, options.isSmall);
  const layout = options.local?.layout ?? phaseLayout(networks, phase);
  const arena = arenaRefs(layout);
  const parameter = options.local?.parameter ?? blobRefs("parameters", blobLayout(wireManifest(networks, network)));
  const inputs = (name: string) => sampleInput(graph, name, n);
  const trains = !phase.evaluate;
  const memory = options.memory ?? "keep";
  const { weights = {}, adversarialReduce: reduce } = options;
  const weightOf = ({ kind, weight }: Loss) => weights[kind] ?? weight;
  const target = (name: string, size: number) => external(`sample.${name}`, 4 * n * size);
  const lossOf = (of: Graph, output: Ref) =>
    options.loss(list, { n, output, shape: of.shapes[of.output], target, evaluates: !trains });

  const tensors = { parameter, gradient: present(arena) };
  const pooled = adversarial ? pooledMaps(list, graph, n, tensors) : undefined;
  const teachers = new Map<string, { readonly graph: Graph; readonly trace: ForwardTrace }>();
  for (const name of new Set(phase.losses.flatMap(({ teacher }) => teacher ?? []))) {
    const needed = networkNamed(networks, name);
    const seen = pooled && adversarial?.teacher === name ? { pooled: byMap(needed.graph, pooled.real) } : {};
    const against = compared.filter(({ teacher }) => teacher === name);
    const output = (options.teacherLogits ?? false) || against.some(comparesOutputs);
    const trace = recordForward(
      list,
      needed.graph,
      n,
      inputs,
      { parameter: blobRefs(frozenBuffer(name), blobLayout(needed.manifest)) },
      { ...seen, maps: readMaps(against, needed.graph), output },
    );
    teachers.set(name, { graph: needed.graph, trace });
  }
  const buffers = trains ? { parameter, statistic: present(arena) } : { parameter };
  const maps = readMaps(compared, graph);
  const trace = recordForward(list, graph, n, inputs, buffers, {
    ...(pooled && { pooled: byMap(graph, pooled.fake) }),
    maps,
  });

  const logits = outputOf(trace, graph.output);
  const task = lossOf(graph, logits);
  const ownTask = phase.losses.find(({ kind }) => kind === "task");
  if (trains) weighTask(list, task, ownTask ? weightOf(ownTask) : 0);

  const gathered: Record<string, Ref> = { task: task.metrics, metrics: tensors.gradient(METRICS) };
  const layers = pooled ? criticsOf(graph).length : 0;
  const lambda = adversarial ? weightOf(adversarial) : 0;
  const answersAt = layout.metrics.length - 2 * layers;
  let dPooled: ReadonlyMap<NodeId, Ref> = new Map();
  if (pooled) {
    const { quads = false } = options;
    const fought = recordAdversarial(list, graph, pooled.real, pooled.fake, { n, lambda, reduce, quads, ...tensors });
    gathered.adversarial = fought.metrics;
    const told = { logits: fought.logits, metrics: gathered.metrics };
    list.run(criticAnswers({ layers, n: fought.rows, at: answersAt }), told);
    dPooled = byMap(graph, fought.dPooled);
  }
  const scale = layers > 0 ? adversarialScale(layers, reduce) : 1;
  list.run(collectMetrics({ tasks: task.metrics.bytes / 4, layers, scale }), gathered);
  const gradients = new NodeGradients(list, outputElements(graph, n));

  const itsTask = compared.find(({ kind }) => kind === "teacher-task");
  const beside = new Map<string, Twin>();
  for (const name of phase.partners.filter((one) => trains && Object.hasOwn(twins, one))) {
    const twin = recordTwin(list, {
      name,
      graph: twins[name],
      n,
      inputs,
      parameter,
      statistic: tensors.gradient,
      gradient: arena,
      loss: lossOf,
      weight: itsTask ? weightOf(itsTask) : 0,
      maps: readMaps(compared, twins[name]),
      memory,
    });
    beside.set(name, twin);
  }
  if (trains && compared.length > 0) {
    const own = { graph, value: (node: NodeId) => outputOf(trace, node), task, gradients };
    const other = ({ teacher, partner = "" }: Loss): ComparedSide => {
      const frozen = teacher === undefined ? undefined : teachers.get(teacher);
      const side = frozen
        ? { graph: frozen.graph, value: (node: NodeId) => outputOf(frozen.trace, node) }
        : beside.get(partner);
      if (!side) throw new RangeError(`phase ${phase.name}: ${partner} is no twin of the ${network}`);
      return side;
    };
    const at = answersAt - compared.length;
    recordObjective(list, { losses: compared, n, own, other, metrics: tensors.gradient(METRICS), at, weightOf });
  }
  if (trains) {
    gradients.add(graph.output, task.gradient);
    recordBackward(list, graph, n, buffers, trace, gradients, {
      gradient: arena,
      inputGradient: options.inputGradients ?? false,
      dPooled,
      memory,
    });
  }
  for (const { backward } of beside.values()) backward();
  if (options.local?.spend) options.local.spend(list);
  else recordAccumulation(list, layout, n, options.accumulate);
  const [teacher] = options.teacherLogits ? teachers.values() : [];
  const teacherLogits = teacher && outputOf(teacher.trace, teacher.graph.output);
  const inputGradients = new Map<string, Ref>();
  for (const { name, node } of options.inputGradients ? graphInputs(graph) : []) {
    const gradient = gradients.get(node);
    if (gradient) inputGradients.set(name, gradient);
  }
  return {
    list,
    layout,
    logits,
    memory: planMemory(list, graph, n, trains),
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
