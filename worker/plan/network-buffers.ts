// Where a network's tensors are, and how large its layers' windows: what recording forward and recording backward
// share.

import type { Graph, GraphNode, NodeId, Shape } from "../../shared/model/graph.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import type { Ref } from "./launch-list.ts";

/** Where a network's parameters and batch statistics are. */
export interface NetworkBuffers {
  readonly parameter: (name: string) => Ref;
  /** Arena range for a batch statistic (`statisticName`), or undefined in evaluation mode. */
  readonly statistic?: (name: string) => Ref;
}

export function sampleSize({ h, w, c }: Shape): number {
  return h * w * c;
}

/** Elements of a node's output over a microbatch. */
export function outputElements(graph: Graph, n: number): (node: NodeId) => number {
  return (node) => n * sampleSize(graph.shapes[node]);
}

/** Window of a convolution or pooling node over a microbatch of n. */
export function windowOf(
  graph: Graph,
  id: NodeId,
  node: Extract<GraphNode, { op: "conv" | "rbconv" | "pool" | "linear" }>,
  n: number,
): WindowShape {
  const { h, w, c } = graph.shapes[node.input];
  const out = graph.shapes[id].c;
  if (node.op === "linear") return { n, h, w, in: c, out, kernel: 1, stride: 1, padding: 0 };
  return { n, h, w, in: c, out, kernel: node.kernel, stride: node.stride, padding: node.padding };
}
