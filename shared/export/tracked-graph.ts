// From a graph that was trained on pairs to what follows a target with it: the backbone that both branches share, once,
// for crops of any side, and what its features are worth together.

import { BitswarmError } from "../base/errors.ts";
import { type Graph, type GraphNode, inputsOf, type NodeId, type Shape, shapeOf } from "../model/graph.ts";
import { networkManifest } from "../model/manifest.ts";

/** What a crop is called that goes in. */
export const CROP = "crop";

export interface TrackedGraph {
  /** From a crop to its features; parameters have the names that both branches share. */
  readonly backbone: Graph;
  /** Of the sum of products. */
  readonly scale: number;
}

/** The nodes that `output` is computed from, in order, itself among them. */
function ancestors({ nodes }: Pick<Graph, "nodes">, output: NodeId): readonly NodeId[] {
  const wanted = new Set([output]);
  for (let id = output; id >= 0; id--) if (wanted.has(id)) for (const from of inputsOf(nodes[id]!)) wanted.add(from);
  return [...wanted].sort((a, b) => a - b);
}

/**
 * A node of another graph: its inputs by their places there, and named as its parameters are.
 * @param branch what the branch is called
 */
function moved(node: GraphNode, place: (id: NodeId) => NodeId, branch: string): GraphNode {
  if (node.op === "input") return { ...node, name: CROP };
  const inputs = {
    ...("input" in node && { input: place(node.input) }),
    ...("other" in node && { other: place(node.other) }),
  };
  if (!("name" in node)) return { ...node, ...inputs } as GraphNode;
  const { weights, ...own } = node;
  const within = `${branch}.`;
  const name = weights ?? (own.name.startsWith(within) ? own.name.slice(within.length) : own.name);
  return { ...own, ...inputs, name } as GraphNode;
}

/** What a branch computes, from its one input on. @param side of what goes in; its own unless given */
function branchOf(graph: Graph, output: NodeId, side?: number): Graph {
  const ids = ancestors(graph, output);
  const places = new Map(ids.map((id, place) => [id, place]));
  const input = graph.nodes[ids[0]!]!;
  const branch = input.op === "input" ? input.name : "";
  const nodes = ids.map((id) => moved(graph.nodes[id]!, (from) => places.get(from)!, branch));
  const shapes: Shape[] = [];
  for (const [place, node] of nodes.entries()) {
    const [first, second] = inputsOf(node).map((id) => shapes[id]!);
    const own = graph.shapes[ids[place]!]!;
    if (node.op === "input") shapes.push(side === undefined ? own : { h: side, w: side, c: own.c });
    else shapes.push(shapeOf(node, first!, second));
  }
  return { nodes, shapes, maps: [], output: nodes.length - 1 };
}

/** What a branch computes and with which parameters, for comparison: what nodes without any are called is no matter. */
function essence(branch: Graph): string {
  const nodes = branch.nodes.map((node) => ({ ...node, name: undefined }));
  const parameters = networkManifest(branch).entries.map(({ name, shape }) => [name, shape]);
  return JSON.stringify([nodes, parameters]);
}

/**
 * Undefined for a graph that is of another task.
 * @param side of the crop that shapes are given for
 * @throws GRAPH_INVALID where the branches differ, since one file has one backbone
 */
export function trackedGraph(graph: Graph, side: number): TrackedGraph | undefined {
  const head = graph.nodes[graph.output]!;
  if (head.op !== "xcorr") return undefined;
  const [exemplar, search] = [head.exemplar, head.search].map((output) => branchOf(graph, output));
  const inputs = search!.nodes.filter(({ op }) => op === "input");
  if (inputs.length !== 1 || essence(exemplar!) !== essence(search!)) {
    throw new BitswarmError(
      "GRAPH_INVALID",
      "its branches are not one network: exported are those that make features of exemplar and search alike",
    );
  }
  return { backbone: branchOf(graph, head.search, side), scale: head.scale };
}

/** Pixels of a picture from one position of a node's map to the next. */
export function strideOf(
  nodes: readonly { readonly op: string; readonly input?: NodeId; readonly stride?: number }[],
  node: NodeId,
): number {
  const strides: number[] = [];
  for (const { op, input, stride = 1 } of nodes) {
    const before = input === undefined ? 1 : strides[input]!;
    strides.push(op === "inputscale" ? before : before * stride);
  }
  return strides[node]!;
}
