// Records the nodes of methods that quantise: maps of few bits, convolutions with weights of bit planes, and what an
// output is scaled by. Forward records them, and backward does once more where their results were not kept.

import type { PlaneOperands } from "../../kernels/convolution/pass/planes.ts";
import { expandWeights } from "../../kernels/layers/expand-weights.ts";
import { gammaScale } from "../../kernels/layers/gamma.ts";
import { quantiseForward } from "../../kernels/layers/quantise.ts";
import {
  activationPlanes,
  type GammaAxis,
  type Graph,
  type GraphNode,
  gammaParameter,
  type NodeId,
  parameterName,
} from "../../shared/model/graph.ts";
import { signWords } from "../../shared/model/window.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { type NetworkBuffers, windowOf } from "./network-buffers.ts";

export type QuantiseNode = Extract<GraphNode, { op: "quantise" }>;
export type QuantisedConvolution = Extract<GraphNode, { op: "qconv" }>;
export type GammaNode = Extract<GraphNode, { op: "gamma" }>;

/** How a convolution counts bits of its input's planes; undefined where it multiplies floats. */
function planeOperands(graph: Graph, node: QuantisedConvolution): PlaneOperands | undefined {
  const quantised = graph.nodes[node.input];
  const { weight: weights } = node;
  if (quantised.op !== "quantise" || (weights.kind !== "linear" && weights.kind !== "ternary")) return undefined;
  const { rule } = quantised;
  return { activations: rule.kind === "sign" ? { kind: "sign" } : rule, weights };
}

/** Whether a convolution counts bits of its input's planes. */
export function readsPlanes(graph: Graph, node: GraphNode): boolean {
  return node.op === "qconv" && planeOperands(graph, node) !== undefined;
}

/** Planes of a quantised map, u32 [planes][n][h][w][words]. */
export function planesTensor(list: LaunchList, graph: Graph, n: number, id: NodeId, node: QuantiseNode): Ref {
  const { h, w, c } = graph.shapes[id];
  return list.tensor(activationPlanes(node.rule) * n * h * w * signWords(c));
}

/** Shift and scale of a quantised map, where its rule has some. */
export function ruleRefs(node: QuantiseNode, net: NetworkBuffers): Readonly<Record<string, Ref>> {
  if (node.rule.kind !== "bases") return {};
  const of = (name: string) => net.parameter(parameterName(node, name));
  return { shift: of("shift"), scale: of("scale") };
}

/** The values of a quantised map, its planes, or both. */
export function recordQuantise(
  list: LaunchList,
  graph: Graph,
  n: number,
  id: NodeId,
  node: QuantiseNode,
  net: NetworkBuffers,
  x: Ref,
  { y, bits }: { readonly y?: Ref; readonly bits?: Ref },
): void {
  const { h, w, c: channels } = graph.shapes[id];
  const outputs = { store: y !== undefined, pack: bits !== undefined && list.packing };
  list.run(quantiseForward({ rows: n * h * w, channels, rule: node.rule, ...outputs }), {
    x,
    ...ruleRefs(node, net),
    ...(y && { y }),
    ...(bits && { bits }),
  });
}

/** W̃ of a layer, f32 [out][kh][kw][in]: what was sent, or what its planes make. */
export function effectiveWeight(list: LaunchList, graph: Graph, node: QuantisedConvolution, net: NetworkBuffers): Ref {
  const { weight: form, out, kernel } = node;
  if (form.kind === "float") return net.parameter(parameterName(node, "weight"));
  const input = graph.shapes[node.input].c;
  const w = list.tensor(out * kernel * kernel * input);
  const of = (name: string) => net.parameter(parameterName(node, name));
  list.run(expandWeights({ out, kernel, in: input, form }), { planes: of("planes"), c: of("c"), w });
  return w;
}

/** @param input the planes of its input where it `readsPlanes`, else the values */
export function recordQuantisedConvolution(
  list: LaunchList,
  graph: Graph,
  n: number,
  id: NodeId,
  node: QuantisedConvolution,
  net: NetworkBuffers,
  input: Ref,
  y: Ref,
): void {
  const shape = windowOf(graph, id, node, n);
  const operands = planeOperands(graph, node);
  const quantised = graph.nodes[node.input];
  if (operands && quantised.op === "quantise") {
    const { scale: b } = ruleRefs(quantised, net);
    const of = (name: string) => net.parameter(parameterName(node, name));
    const refs = { a: input, w: of("planes"), c: of("c"), ...(b && { b }), y };
    list.convolve({ verb: "planesConvForward", shape, ...operands }, refs);
    return;
  }
  const w = effectiveWeight(list, graph, node, net);
  list.convolve({ verb: "convForward", shape, bias: false }, { x: input, w, y });
}

/** A gamma node's factors, as its kernels call them. */
export function gammaRefs(node: GammaNode, net: NetworkBuffers): Readonly<Record<string, Ref>> {
  return Object.fromEntries(node.axes.map((axis) => [`by_${axis}`, net.parameter(gammaParameter(node, axis))]));
}

/** Shape of a gamma node's map and its axes. */
export function gammaMap(graph: Graph, n: number, id: NodeId, { axes }: { readonly axes: readonly GammaAxis[] }) {
  const { h, w, c: channels } = graph.shapes[id];
  return { n, h, w, channels, axes };
}

/** y (+)= x times the factors, forward and back. */
export function recordGamma(
  list: LaunchList,
  graph: Graph,
  n: number,
  id: NodeId,
  node: GammaNode,
  net: NetworkBuffers,
  x: Ref,
  y: Ref,
  accumulate = false,
): void {
  const kernel = gammaScale({ ...gammaMap(graph, n, id, node), accumulate });
  list.run(kernel, { x, y, ...gammaRefs(node, net) });
}
