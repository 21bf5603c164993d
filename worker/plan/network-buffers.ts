// Where a network's tensors are, and how large its layers' windows: what recording forward and recording backward
// share.

import { type CorrelationPass, correlationPass } from "../../kernels/convolution/pass/correlation.ts";
import type { Graph, GraphNode, NodeId, Shape } from "../../shared/model/graph.ts";
import { convolutionWindow, type WindowShape } from "../../shared/model/window.ts";
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

export type CorrelationNode = Extract<GraphNode, { op: "xcorr" }>;

/** A pass of a response over a microbatch of n: each search has an exemplar of its own. */
export function correlationOf(
  graph: Graph,
  { search, exemplar, scale }: CorrelationNode,
  n: number,
  verb: CorrelationPass["verb"],
  accumulate = false,
): CorrelationPass {
  const [{ h, w, c: channels }, { h: rows, w: columns }] = [graph.shapes[search], graph.shapes[exemplar]];
  return correlationPass(verb, { n, exemplars: n, channels, h, w, rows, columns }, { scale, accumulate });
}

/** Window of a convolution or pooling node over a microbatch of n; of an input scale, over the map that it reads. */
export function windowOf(
  graph: Graph,
  id: NodeId,
  node: Extract<GraphNode, { op: "conv" | "rbconv" | "qconv" | "pool" | "linear" | "inputscale" }>,
  n: number,
): WindowShape {
  const { h, w, c } = graph.shapes[node.op === "inputscale" ? node.other : node.input];
  const out = graph.shapes[id].c;
  if (node.op === "linear") return { n, h, w, in: c, out, kernel: 1, stride: 1, padding: 0 };
  return convolutionWindow({ ...node, out }, { n, h, w, c });
}
