// Finds what one normalisation kernel can do at once: a batch norm, the shortcut added to it, the activation behind
// them.

import { type Graph, type GraphNode, inputsOf, type NodeId } from "../../shared/model/graph.ts";

type BatchNormNode = Extract<GraphNode, { op: "batchnorm" }>;
type ActivationNode = Extract<GraphNode, { op: "activation" }>;

/**
 * A batch norm with its epilogue; the nodes between `norm` and `last` have no other consumer, so their outputs need not
 * exist.
 */
export interface NormGroup {
  readonly norm: NodeId;
  readonly node: BatchNormNode;
  /** The node whose output is added, if one is. */
  readonly shortcut?: NodeId;
  readonly activation?: ActivationNode;
  /** The node whose output the group computes. */
  readonly last: NodeId;
}

export interface Fusion {
  /** Every batch norm's group, by its last node. */
  readonly groups: ReadonlyMap<NodeId, NormGroup>;
  /** The last node of the group of each batch norm, by the batch norm. */
  readonly lastOf: ReadonlyMap<NodeId, NodeId>;
  /** Nodes whose output exists inside a kernel only. */
  readonly interior: ReadonlySet<NodeId>;
}

/** Nodes that read each node's output. */
export function consumersOf(graph: Graph): readonly (readonly NodeId[])[] {
  const consumers: NodeId[][] = graph.nodes.map(() => []);
  graph.nodes.forEach((node, id) => {
    for (const input of inputsOf(node)) consumers[input].push(id);
  });
  return consumers;
}

/**
 * A compared batch norm need not exist for that: discriminators look at its mean, which a normalisation gives without
 * it.
 * @param read nodes whose outputs somebody beside the network reads, so that they exist
 */
export function fuseNormalisations(graph: Graph, read: ReadonlySet<NodeId> = new Set()): Fusion {
  const consumers = consumersOf(graph);
  const groups = new Map<NodeId, NormGroup>();
  const lastOf = new Map<NodeId, NodeId>();
  const interior = new Set<NodeId>();
  const taken = new Set<NodeId>();
  const seen = new Set([
    graph.output,
    ...read,
    ...graph.maps.map((map) => map.node).filter((id) => graph.nodes[id].op !== "batchnorm"),
  ]);
  /** The node that alone reads `id`, whose output nobody else needs. */
  const follower = (id: NodeId): NodeId | undefined => {
    const [next] = consumers[id];
    return consumers[id].length === 1 && !seen.has(id) && !taken.has(next) ? next : undefined;
  };

  graph.nodes.forEach((node, norm) => {
    if (node.op !== "batchnorm") return;
    const members = [norm];
    let group: Omit<NormGroup, "last"> = { norm, node };
    const take = (id: NodeId) => {
      taken.add(id);
      members.push(id);
    };
    const sum = follower(norm);
    const added = sum === undefined ? undefined : graph.nodes[sum];
    if (sum !== undefined && added?.op === "add" && added.input !== added.other) {
      group = { ...group, shortcut: added.input === norm ? added.other : added.input };
      take(sum);
    }
    const next = follower(members[members.length - 1]);
    const behind = next === undefined ? undefined : graph.nodes[next];
    if (next !== undefined && behind?.op === "activation") {
      group = { ...group, activation: behind };
      take(next);
    }
    const last = members[members.length - 1];
    groups.set(last, { ...group, last });
    lastOf.set(norm, last);
    for (const id of members) if (id !== last) interior.add(id);
  });
  return { groups, lastOf, interior };
}
