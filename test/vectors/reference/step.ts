// One microbatch of a phase in float64: losses, gradients, batch statistics and metrics, by the names that a
// contribution gives them.

import type { Graph, NodeId } from "../../../shared/model/graph.ts";
import type { Loss, Phase } from "../../../shared/model/phases.ts";
import { type Networks, networkNamed } from "../../../shared/run/networks.ts";
import { METRICS } from "../../../shared/wire/contribution.ts";
import { mapTerm, outputTerm } from "./against.ts";
import { backward, spread } from "./backward.ts";
import { crossEntropy, play, type TaskLoss } from "./losses.ts";
import { forward, type Trace, type Values } from "./network.ts";
import { pooled, tensor } from "./tensor.ts";

export interface StepInput {
  readonly networks: Networks;
  readonly phase: Phase;
  /** f32 [n][h][w][c] and u32 [n]. */
  readonly image: Float32Array;
  readonly label: ArrayLike<number>;
  /** The phase's network with its partners; and each frozen network. */
  readonly values: Values;
  readonly frozen: Readonly<Record<string, Values>>;
  readonly labelSmoothing: number;
  /** Of L_Adv in this pass. */
  readonly lambda: number;
  readonly reduce: "mean" | "sum";
}

export interface StepOutput {
  /** Every tensor that some contribution may have: gradients, statistics, `metrics`. */
  readonly tensors: ReadonlyMap<string, Float64Array>;
  readonly trace: Trace;
}

export function referenceStep(step: StepInput): StepOutput {
  const { networks, phase, image, label, values, labelSmoothing, lambda, reduce } = step;
  const network = networkNamed(networks, phase.network);
  const { graph } = network;
  const n = label.length;
  const x = tensor(n, graph.shapes[0], Float64Array.from(image));
  const trace = forward(graph, x, values, !phase.evaluate);
  const logits = trace.outputs[graph.output];
  const task = crossEntropy(logits.values, label, phase.evaluate ? 0 : labelSmoothing);
  const seeds: Seeds = new Map();
  const ownTask = phase.losses.find(({ kind }) => kind === "task")?.weight ?? 0;
  seed(seeds, graph.output, task.gradient, phase.evaluate ? 1 : ownTask);
  const tensors = new Map<string, Float64Array>();
  let objective = [0, 0];
  let answers: readonly number[] = [];
  const versus = phase.losses.find(({ kind }) => kind === "adversarial");
  if (versus?.teacher !== undefined) {
    const teacher = networkNamed(networks, versus.teacher).graph;
    const real = forward(teacher, x, step.frozen[versus.teacher], false);
    const maps = graph.maps.map(({ name, node }, i) => ({
      name,
      real: pooled(real.outputs[teacher.maps[i].node]),
      fake: pooled(trace.outputs[node]),
    }));
    const scale = reduce === "mean" ? 1 / maps.length : 1;
    const game = play(maps, n, values, { lambda, scale });
    objective = [game.discriminator, game.adversarial];
    answers = game.answers;
    for (const [name, gradient] of game.gradients) tensors.set(name, gradient);
    for (const { name, node } of graph.maps) {
      const reaches = spread(game.dPooled.get(name)!, n, graph.shapes[node]);
      seed(seeds, node, reaches, 1);
    }
  }
  const own: Side = { graph, trace, seeds };
  const twins = phase.evaluate ? [] : phase.partners.filter((name) => Object.hasOwn(network.twins, name));
  const sides = new Map(twins.map((name) => [name, twinOf(network.twins[name], x, inside(values, name))]));
  const terms = compared(phase).map((loss) => {
    const other = sides.get(loss.partner ?? "") ?? frozenOf(step, loss, x);
    return loss.weight * againstOther(loss, own, other, n, () => crossEntropy(outputs(other), label, labelSmoothing));
  });
  if (!phase.evaluate) {
    for (const [name, gradient] of backward(graph, trace, values, seeds)) tensors.set(name, gradient);
    for (const [name, statistic] of trace.statistics) tensors.set(name, statistic);
    for (const [twin, side] of sides) {
      const gradients = backward(side.graph, side.trace, inside(values, twin), side.seeds ?? new Map());
      for (const [name, value] of [...gradients, ...side.trace.statistics]) tensors.set(`${twin}.${name}`, value);
    }
  }
  tensors.set(METRICS, Float64Array.of(task.loss, task.top1, task.top5, ...objective, ...terms, ...answers));
  return { tensors, trace };
}

/** Gradients that come from losses, by the node that they are of. */
type Seeds = Map<NodeId, Float64Array>;

/** A network of a comparison; seeds are where its gradients go, of one that learns. */
interface Side {
  readonly graph: Graph;
  readonly trace: Trace;
  readonly seeds?: Seeds;
}

function seed(seeds: Seeds | undefined, node: NodeId, gradient: Float64Array | undefined, weight: number): void {
  if (!seeds || !gradient) return;
  const known = seeds.get(node) ?? new Float64Array(gradient.length);
  seeds.set(
    node,
    known.map((v, i) => v + weight * gradient[i]),
  );
}

function outputs({ graph, trace }: Side): Float64Array {
  return trace.outputs[graph.output].values;
}

function twinOf(graph: Graph, x: ReturnType<typeof tensor>, values: Values): Side {
  return { graph, trace: forward(graph, x, values, true), seeds: new Map() };
}

function frozenOf({ networks, frozen }: StepInput, { teacher = "" }: Loss, x: ReturnType<typeof tensor>): Side {
  const { graph } = networkNamed(networks, teacher);
  return { graph, trace: forward(graph, x, frozen[teacher], false) };
}

/** The values of what travels under a prefix, without it. */
function inside(values: Values, prefix: string): Values {
  const own = [...values].filter(([name]) => name.startsWith(`${prefix}.`));
  return new Map(own.map(([name, value]) => [name.slice(prefix.length + 1), value]));
}

function compared({ losses }: Phase): readonly Loss[] {
  return losses.filter(({ kind }) => !["task", "method", "adversarial"].includes(kind));
}

/** What a term comes to, without its weight; with it, its gradients go to the seeds of those that learn. */
function againstOther(loss: Loss, own: Side, other: Side, n: number, otherTask: () => TaskLoss): number {
  const { weight, kind } = loss;
  if (kind === "teacher-task") {
    const task = otherTask();
    seed(other.seeds, other.graph.output, task.gradient, weight);
    return task.loss;
  }
  const maps = kind === "features" ? own.graph.maps.length : 0;
  const kept = loss.options?.last === 1 ? 1 : maps;
  const pairs =
    maps === 0
      ? [[own.graph.output, other.graph.output] as const]
      : own.graph.maps.map(({ node }, i) => [node, other.graph.maps[i].node] as const).slice(-kept);
  return pairs.reduce((sum, [mine, theirs]) => {
    const pair = { own: own.trace.outputs[mine].values, other: other.trace.outputs[theirs].values };
    const term = maps === 0 ? outputTerm(loss, pair, n) : mapTerm(loss, pair, n, kept);
    seed(own.seeds, mine, term.own, weight);
    seed(other.seeds, theirs, term.other, weight);
    return sum + term.loss;
  }, 0);
}
