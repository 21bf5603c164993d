// What networks and runs compute, counted and not measured: a multiplication and an addition are a pair. Pairs of
// floats and pairs of bits, which popcounts take 32 of at a time, are counted apart.

import { activationPlanes, type Graph, type GraphNode, planesOf, seenChannels } from "../model/graph.ts";
import type { Phase } from "../model/phases.ts";
import { type Networks, networkNamed } from "./networks.ts";
import type { Program } from "./program.ts";

export interface Pairs {
  readonly float: number;
  /** Each pass over bit planes counts: M·N for sums of planes, q·k for codes of bits. */
  readonly binary: number;
}

export const noPairs: Pairs = { float: 0, binary: 0 };

export function sumOf(...terms: readonly Pairs[]): Pairs {
  return terms.reduce((sum, { float, binary }) => ({ float: sum.float + float, binary: sum.binary + binary }), noPairs);
}

export function times({ float, binary }: Pairs, factor: number): Pairs {
  return { float: float * factor, binary: binary * factor };
}

/** Popcount passes of a layer's forward convolution, one a pair of bit planes; 0 where it multiplies floats. */
export function passesOf(node: GraphNode, { nodes }: Pick<Graph, "nodes">): number {
  if (node.op === "rbconv") return 1;
  if (node.op !== "qconv") return 0;
  const input = nodes[node.input];
  const inPlanes = node.weight.kind === "linear" || node.weight.kind === "ternary";
  return inPlanes && input.op === "quantise" ? planesOf(node.weight) * activationPlanes(input.rule) : 0;
}

/** Of each node for one sample, whatever number system it computes in; 0 for what multiplies nothing. */
function pairsOfNode({ nodes, shapes }: Graph, id: number): number {
  const node = nodes[id];
  const { h, w, c } = shapes[id];
  switch (node.op) {
    case "linear":
      return c * shapes[node.input].c;
    case "conv":
    case "rbconv":
    case "qconv":
      return h * w * c * node.kernel ** 2 * seenChannels(node, shapes[node.input].c);
    default:
      return 0;
  }
}

/** Pairs of a forward pass of one sample, floats and bits alike, each layer once: those of the full-precision twin. */
export function forwardPairs(graph: Graph): number {
  return graph.nodes.reduce((sum, _, id) => sum + pairsOfNode(graph, id), 0);
}

/** A forward pass of one sample. */
export function forwardWork(graph: Graph): Pairs {
  return sumOf(
    ...graph.nodes.map((node, id) => {
      const pairs = pairsOfNode(graph, id);
      const passes = passesOf(node, graph);
      return passes === 0 ? { float: pairs, binary: 0 } : { float: 0, binary: passes * pairs };
    }),
  );
}

const trainsLayer = ({ trains }: Pick<Phase, "trains">, op: string) =>
  trains.some(({ layers }) => layers?.includes(op) ?? true);

/**
 * Forward and backward of one sample. Backward is in floats whatever forward is: the gradient of a layer's input takes
 * its pairs once, that of its weights once more where the phase trains them, so that training is three times forward.
 */
export function trainingWork(graph: Graph, phase: Pick<Phase, "trains">): Pairs {
  const backward = graph.nodes.reduce(
    (sum, { op }, id) => sum + (trainsLayer(phase, op) ? 2 : 1) * pairsOfNode(graph, id),
    0,
  );
  return sumOf(forwardWork(graph), { float: backward, binary: 0 });
}

/** A discriminator sees the map of the teacher and that of the student, and each gets its gradients back. */
const JUDGED_MAPS = 2;
/** Forward, and backward for inputs and for weights. */
const TRAINING = 3;

/** Of the partners that train beside a network, for one sample. */
function partnerWork(networks: Networks, program: Pick<Program, "networks">, phase: Phase): Pairs {
  const { graph, partners } = networkNamed(networks, phase.network);
  const plan = program.networks.find(({ name }) => name === phase.network);
  const floats = phase.partners.map((name) => {
    if (plan?.partners.find((one) => one.name === name)?.kind === "twin") return TRAINING * forwardPairs(graph);
    const matrices = partners[name].entries.filter(({ shape }) => shape.length > 1);
    return matrices.reduce((sum, { shape }) => sum + JUDGED_MAPS * TRAINING * shape.reduce((a, b) => a * b, 1), 0);
  });
  return { float: floats.reduce((a, b) => a + b, 0), binary: 0 };
}

/** What a phase takes in all its passes. */
export interface PhaseWork {
  readonly phase: string;
  readonly title: string;
  readonly network: string;
  readonly passes: number;
  /** Training samples through it, each time that one goes through. */
  readonly samples: number;
  /** Of one sample: the network forward and backward, and what trains beside it. */
  readonly training: Pairs;
  /** Of one sample through the frozen networks that the phase needs; nothing where it needs none. */
  readonly frozen: Pairs;
  /** Forward passes of single samples through frozen networks. */
  readonly frozenForwards: number;
  /** Of all samples. */
  readonly total: Pairs;
}

/** What a program takes, a line a phase that trains, in the program's order; evaluations train nothing. */
export function programWork(
  program: Pick<Program, "networks" | "phases" | "passes">,
  networks: Networks,
): readonly PhaseWork[] {
  return program.phases
    .filter(({ evaluate }) => !evaluate)
    .map((phase) => {
      const passes = program.passes.filter((pass) => pass.phase === phase.name);
      const samples = passes.reduce((sum, pass) => sum + pass.samples, 0);
      const { graph } = networkNamed(networks, phase.network);
      const training = sumOf(trainingWork(graph, phase), partnerWork(networks, program, phase));
      const frozen = sumOf(...phase.needs.map((name) => forwardWork(networkNamed(networks, name).graph)));
      return {
        phase: phase.name,
        title: phase.title,
        network: phase.network,
        passes: passes.length,
        samples,
        training,
        frozen,
        frozenForwards: samples * phase.needs.length,
        total: times(sumOf(training, frozen), samples),
      };
    });
}

/** Pairs of bits that a popcount takes at a time. */
const BITS_AT_A_TIME = 32;

/**
 * What a sample of each phase takes, frozen networks and evaluations included, by the phase's name. No time follows
 * from it: it says how one phase compares to another on the same device.
 */
export function sampleWork(
  program: Pick<Program, "networks" | "phases" | "passes">,
  networks: Networks,
): ReadonlyMap<string, number> {
  const weigh = ({ float, binary }: Pairs) => float + binary / BITS_AT_A_TIME;
  const trained = programWork(program, networks).map(({ phase, training, frozen }) => {
    return [phase, weigh(sumOf(training, frozen))] as const;
  });
  const evaluated = program.phases
    .filter(({ evaluate }) => evaluate)
    .map(({ name, network }) => [name, weigh(forwardWork(networkNamed(networks, network).graph))] as const);
  return new Map([...trained, ...evaluated]);
}
