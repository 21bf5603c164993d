// What backward reads of forward: kept, or computed a second time where memory is short (checkpointing: Chen et al.
// 2016).

import { scalePositions } from "../../kernels/layers/input-scale.ts";
import type { ConvolutionFields, Graph, NodeId } from "../../shared/model/graph.ts";
import { type ForwardTrace, mapOf, outputOf, recordBinaryConvolution } from "./forward.ts";
import type { NormGroup } from "./fusion.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { type NetworkBuffers, sampleSize } from "./network-buffers.ts";
import { mapShape, recordNormalise } from "./norm-group.ts";
import { readsPlanes, recordGamma, recordQuantise, recordQuantisedConvolution } from "./quantised.ts";

/**
 * What is computed twice. `keep`: values of quantised maps, maps times their gamma, and normalisations without a
 * shortcut of float convolutions, one pass over what is kept anyway. `recompute`: outputs of binary layers too, from
 * their planes, and outputs times their input's scale. `checkpoint`: every normalisation.
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

  /** A node's output, f32 [n][h][w][c]. A convolution's or a scaled one belongs to who asks where it is made again. */
  value(id: NodeId): Ref {
    const node = this.#graph.nodes[id];
    switch (node.op) {
      case "gradientbits":
        return this.value(node.input);
      case "quantise":
        return this.#trace.values[id] ?? this.#onceMore(id, () => this.#quantiseAgain(id));
      case "rbconv":
      case "qconv":
      case "gamma":
      case "inputscale":
        if (node.op === "gamma" || (this.#mode !== "keep" && this.#isBinary(id))) return this.#computeAgain(id);
        return outputOf(this.#trace, id);
      default: {
        const group = this.#trace.fusion.groups.get(id);
        if (!group || !this.#isMadeAgain(group)) return outputOf(this.#trace, id);
        return this.#onceMore(id, () => this.#normaliseAgain(group));
      }
    }
  }

  #onceMore(id: NodeId, make: () => Ref): Ref {
    const known = this.#again.get(id);
    if (known) return known;
    const y = make();
    this.#again.set(id, y);
    return y;
  }

  #isMadeAgain({ node, shortcut }: NormGroup): boolean {
    const { op } = this.#graph.nodes[node.input];
    const kept = op === "conv" || (op === "qconv" && !this.#isBinary(node.input));
    return this.#mode === "checkpoint" || (shortcut === undefined && kept);
  }

  /** Whether it is computed of planes, or of one pass over what is: cheap beside a convolution of floats. */
  #isBinary(id: NodeId): boolean {
    const node = this.#graph.nodes[id];
    return node.op === "rbconv" || node.op === "gamma" || node.op === "inputscale" || readsPlanes(this.#graph, node);
  }

  /** Those that a binary layer reads. */
  signs({ input, groups = 1 }: Pick<ConvolutionFields, "input" | "groups">): Ref {
    return this.#trace.signs(input, groups);
  }

  norm(id: NodeId): Ref {
    return mapOf(this.#trace.norms, id);
  }

  /** K of an input scale. */
  scale(id: NodeId): Ref {
    return mapOf(this.#trace.scales, id);
  }

  #fresh(id: NodeId): Ref {
    return this.#list.tensor(this.#n * sampleSize(this.#graph.shapes[id]));
  }

  #quantiseAgain(id: NodeId): Ref {
    const node = this.#graph.nodes[id];
    if (node.op !== "quantise") throw new RangeError(`node ${id} quantises nothing but is ${node.op}`);
    const x = this.value(node.input);
    const y = this.#fresh(id);
    recordQuantise(this.#list, this.#graph, this.#n, id, node, this.#net, x, { y });
    return y;
  }

  #computeAgain(id: NodeId): Ref {
    const node = this.#graph.nodes[id];
    const [list, graph, n, net] = [this.#list, this.#graph, this.#n, this.#net];
    switch (node.op) {
      case "rbconv": {
        const y = this.#fresh(id);
        recordBinaryConvolution(list, graph, n, id, net, this.signs(node), y);
        return y;
      }
      case "qconv": {
        const y = this.#fresh(id);
        recordQuantisedConvolution(list, graph, n, id, node, net, mapOf(this.#trace.planes, node.input), y);
        return y;
      }
      case "gamma": {
        const x = this.value(node.input);
        const y = this.#fresh(id);
        recordGamma(list, graph, n, id, node, net, x, y);
        return y;
      }
      case "inputscale": {
        const x = this.value(node.input);
        const y = this.#fresh(id);
        const { c: channels } = graph.shapes[id];
        const positions = (n * sampleSize(graph.shapes[id])) / channels;
        list.run(scalePositions({ positions, channels, accumulate: false }), { x, k: this.scale(id), y });
        return y;
      }
      default:
        throw new RangeError(`node ${id} is not computed again: ${node.op}`);
    }
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
