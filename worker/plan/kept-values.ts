// What backward reads of forward: kept, or computed a second time where memory is short (checkpointing: Chen et al.
// 2016).

import type { Graph, NodeId } from "../../shared/model/graph.ts";
import { type ForwardTrace, outputOf, recordBinaryConvolution } from "./forward.ts";
import type { NormGroup } from "./fusion.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { type NetworkBuffers, sampleSize } from "./network-buffers.ts";
import { mapShape, recordNormalise } from "./norm-group.ts";

/**
 * What is computed twice. `keep`: normalisations without a shortcut of float convolutions, one pass over what is kept
 * anyway. `recompute`: outputs of binary layers too, from their sign planes. `checkpoint`: every normalisation.
 */
export type MemoryMode = "keep" | "recompute" | "checkpoint";

/**
 * By the work that they add; where one stage holds most of a network, `checkpoint` may take no less than `recompute`.
 */
export const memoryModes: readonly MemoryMode[] = ["keep", "recompute", "checkpoint"];

export class KeptValues {
  #list: LaunchList;
  #graph: Graph;
  #n: number;
  #net: NetworkBuffers;
  #trace: ForwardTrace;
  #mode: MemoryMode;
  #again = new Map<NodeId, Ref>();

  constructor(list: LaunchList, graph: Graph, n: number, net: NetworkBuffers, trace: ForwardTrace, mode: MemoryMode) {
    this.#list = list;
    this.#graph = graph;
    this.#n = n;
    this.#net = net;
    this.#trace = trace;
    this.#mode = mode;
  }

  /** A node's output, f32 [n][h][w][c]. A binary layer's belongs to who asks where it is computed again. */
  value(id: NodeId): Ref {
    const { op } = this.#graph.nodes[id];
    if (op === "rbconv" && this.#mode !== "keep") return this.#convolveAgain(id);
    const group = this.#trace.fusion.groups.get(id);
    if (!group || !this.#isMadeAgain(group)) return outputOf(this.#trace, id);
    const known = this.#again.get(id);
    if (known) return known;
    const y = this.#normaliseAgain(group);
    this.#again.set(id, y);
    return y;
  }

  #isMadeAgain({ node, shortcut }: NormGroup): boolean {
    return this.#mode === "checkpoint" || (shortcut === undefined && this.#graph.nodes[node.input].op === "conv");
  }

  signs(id: NodeId): Ref {
    const bits = this.#trace.signs.get(id);
    if (!bits) throw new RangeError(`node ${id}: forward made no sign planes of it`);
    return bits;
  }

  norm(id: NodeId): Ref {
    const norm = this.#trace.norms.get(id);
    if (!norm) throw new RangeError(`node ${id}: forward made no norm of it`);
    return norm;
  }

  #fresh(id: NodeId): Ref {
    return this.#list.tensor(this.#n * sampleSize(this.#graph.shapes[id]));
  }

  #convolveAgain(id: NodeId): Ref {
    const node = this.#graph.nodes[id];
    if (node.op !== "rbconv") throw new RangeError(`node ${id} is no binary layer but ${node.op}`);
    const y = this.#fresh(id);
    recordBinaryConvolution(this.#list, this.#graph, this.#n, id, this.#net, this.signs(node.input), y);
    return y;
  }

  #normaliseAgain(group: NormGroup): Ref {
    const shortcut = group.shortcut === undefined ? undefined : this.value(group.shortcut);
    const x = this.value(group.node.input);
    const y = this.#fresh(group.last);
    const inputs = { x, norm: this.norm(group.norm), ...(shortcut && { shortcut }) };
    recordNormalise(this.#list, mapShape(this.#graph, group.last, this.#n), group, this.#net, inputs, { y });
    return y;
  }
}
