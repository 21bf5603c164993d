// What a plan takes of the adapter's memory, before any of it is allocated, and what it would take without any care.

import type { Graph } from "../../shared/model/graph.ts";
import { activationPlanes, inputsOf } from "../../shared/model/graph.ts";
import type { LaunchList } from "./launch-list.ts";
import { outputElements } from "./network-buffers.ts";
import { assignSlots } from "./slots.ts";

export interface PlanMemory {
  /**
   * Bytes of all slots: activations, gradients, bit planes, scratch. Parameters and the gradient arena are not among
   * them.
   */
  readonly bytes: number;
  /** Bytes of the largest slot. */
  readonly largestBuffer: number;
  /** Bytes of the largest range that a launch binds, of slots or of anything else. */
  readonly largestBinding: number;
  /** Bytes of a plan in which every output, every bit plane and every gradient is an f32 tensor of its own. */
  readonly keptInF32: number;
}

/**
 * Forward's outputs and bit planes; where the network trains, a gradient of each output too. Images are nobody's
 * output.
 */
function keptInF32(graph: Graph, n: number, trains: boolean): number {
  const elements = outputElements(graph, n);
  return graph.nodes.reduce((bytes, node, id) => {
    const [input] = inputsOf(node);
    if (input === undefined) return bytes;
    const planes = node.op === "rbconv" ? 1 : node.op === "quantise" ? activationPlanes(node.rule) : 0;
    return bytes + 4 * (elements(id) * (trains ? 2 : 1) + planes * elements(input));
  }, 0);
}

/** @param graph the network that the round trains or evaluates */
export function planMemory(list: LaunchList, graph: Graph, n: number, trains: boolean): PlanMemory {
  const { slotBytes } = assignSlots(list);
  return {
    bytes: slotBytes.reduce((sum, bytes) => sum + bytes, 0),
    largestBuffer: slotBytes.reduce((most, bytes) => Math.max(most, bytes), 0),
    largestBinding: list.launches.reduce(
      (most, { refs }) => refs.reduce((larger, { bytes }) => Math.max(larger, bytes), most),
      0,
    ),
    keptInF32: keptInF32(graph, n, trains),
  };
}
