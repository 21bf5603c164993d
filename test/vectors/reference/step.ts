// One microbatch of a phase in float64: losses, gradients, batch statistics and metrics, by the names that a
// contribution gives them.

import type { Phase } from "../../../shared/model/phases.ts";
import { type Networks, networkNamed } from "../../../shared/run/networks.ts";
import { METRICS } from "../../../shared/wire/contribution.ts";
import { backward, spread } from "./backward.ts";
import { crossEntropy, play } from "./losses.ts";
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
  const { graph } = networkNamed(networks, phase.network);
  const n = label.length;
  const x = tensor(n, graph.shapes[0], Float64Array.from(image));
  const trace = forward(graph, x, values, !phase.evaluate);
  const logits = trace.outputs[graph.output];
  const task = crossEntropy(logits.values, label, phase.evaluate ? 0 : labelSmoothing);
  const seeds = new Map([[graph.output, task.gradient]]);
  const tensors = new Map<string, Float64Array>();
  let objective = [0, 0];
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
    for (const [name, gradient] of game.gradients) tensors.set(name, gradient);
    for (const { name, node } of graph.maps) {
      const reaches = spread(game.dPooled.get(name)!, n, graph.shapes[node]);
      seeds.set(node, reaches);
    }
  }
  if (!phase.evaluate) {
    for (const [name, gradient] of backward(graph, trace, values, seeds)) tensors.set(name, gradient);
    for (const [name, statistic] of trace.statistics) tensors.set(name, statistic);
  }
  tensors.set(METRICS, Float64Array.of(task.loss, task.top1, task.top5, ...objective));
  return { tensors, trace };
}
