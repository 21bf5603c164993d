// Records a network in full precision that trains beside another one: forward with batch statistics of its own, its
// task's loss, and, once the objective has added its terms, the way back.

import type { Graph, NodeId } from "../../shared/model/graph.ts";
import { twinParameter } from "../../shared/run/networks.ts";
import { recordBackward } from "./backward.ts";
import { outputOf, recordForward } from "./forward.ts";
import type { MemoryMode } from "./kept-values.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { outputElements } from "./network-buffers.ts";
import { NodeGradients } from "./node-gradients.ts";
import { type ComparedSide, weighTask } from "./objective-losses.ts";
import type { RecordedLoss } from "./task-loss.ts";

export interface TwinSite {
  /** The partner's, with which its parameters' names begin. */
  readonly name: string;
  readonly graph: Graph;
  readonly n: number;
  readonly inputs: (name: string) => Ref;
  /** Of parameters and of the arena, by the names that they have beside the other network's. */
  readonly parameter: (name: string) => Ref;
  readonly statistic: (name: string) => Ref;
  readonly gradient: (name: string) => Ref | undefined;
  readonly loss: (graph: Graph, output: Ref) => RecordedLoss;
  /** Of its task's loss. */
  readonly weight: number;
  /** Nodes whose outputs the objective reads. */
  readonly maps: ReadonlySet<NodeId>;
  readonly memory: MemoryMode;
}

export interface Twin extends ComparedSide {
  /** Records the way back from what its task and the objective left at its nodes. */
  readonly backward: () => void;
}

export function recordTwin(list: LaunchList, site: TwinSite): Twin {
  const { name, graph, n, inputs, maps, memory } = site;
  const net = {
    parameter: (entry: string) => site.parameter(twinParameter(name, entry)),
    statistic: (entry: string) => site.statistic(twinParameter(name, entry)),
  };
  const trace = recordForward(list, graph, n, inputs, net, { maps });
  const task = site.loss(graph, outputOf(trace, graph.output));
  weighTask(list, task, site.weight);
  const gradients = new NodeGradients(list, outputElements(graph, n));
  return {
    graph,
    value: (node) => outputOf(trace, node),
    task,
    gradients,
    backward: () => {
      gradients.add(graph.output, task.gradient);
      const gradient = (entry: string) => site.gradient(twinParameter(name, entry));
      recordBackward(list, graph, n, net, trace, gradients, { gradient, inputGradient: false, memory });
    },
  };
}
