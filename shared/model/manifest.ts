// What parameters a network has: names (torchvision's where it has one), roles, shapes. Optimizer, wire layout and
// checkpoints all follow it.

import { BitswarmError } from "../base/errors.ts";
import {
  criticsOf,
  type Graph,
  type GraphNode,
  gammaParameter,
  inputsOf,
  type NodeId,
  parameterName,
  type QuantiseRule,
  type Shape,
  seenChannels,
} from "./graph.ts";

/**
 * `latent`: W of a binary layer, only its sign leaves the coordinator. `learned`, `derived`, `state`: companions of a W
 * (graph.ts). `float`: trained in full precision. `statistic`: running mean and variance of a batch norm. `critic`:
 * trained by an optimizer of its own against the network, such as a discriminator.
 */
export type Role = "latent" | "learned" | "derived" | "state" | "float" | "statistic" | "critic";

/** How a fresh parameter starts. */
export type Initial =
  | { readonly kind: "kaiming-normal"; readonly fanIn: number }
  | { readonly kind: "uniform"; readonly bound: number }
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "values"; readonly values: readonly number[] }
  /** A companion's first value is its method's, from the latent weight of this name. */
  | { readonly kind: "companion"; readonly of: string; readonly name: string };

export interface ParameterEntry {
  readonly name: string;
  readonly role: Role;
  /** Convolution weights and C are [out][kh][kw][in]; files hold them as PyTorch's [out][in][kh][kw]. */
  readonly shape: readonly number[];
  readonly initial: Initial;
  /** Op of the layer that it is of, as phases select it: "conv", "batchnorm"; "discriminator" beside the network. */
  readonly layer: GraphNode["op"] | "discriminator";
  /** No batch's value of a statistic is below this: 0 of a variance. */
  readonly least?: number;
  /** How many nodes share it, where more than one does: so many batch statistics a microbatch has a running one. */
  readonly uses?: number;
  /**
   * How it travels to workers: a latent weight as its signs, others as f32 unless given. `none`: what they see of a
   * latent weight is in its companions.
   */
  readonly wire?: "signs" | "f32" | "none";
  /** Of a learned one: its rate is this of optimizer.learningRate, and optimizer.rectifierRate unless given. */
  readonly rate?: number;
  /** Of a learned companion: its gradient comes from workers, and not from that of its weight. */
  readonly measured?: true;
}

/** How an entry travels to workers that take no inner steps. */
export function wireOf({ role, wire = role === "latent" ? "signs" : "f32" }: ParameterEntry) {
  return wire;
}

export interface Manifest {
  readonly entries: readonly ParameterEntry[];
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Widths of a discriminator's hidden layers (methods/README.md; our choice). */
export const discriminatorWidths = [128, 256, 128, 1] as const;

/** Name of one tensor of the discriminator of a compared map, e.g. `discriminator.layer1.0.conv1.0.weight`. */
export function discriminatorName(map: string, layer: number, tensor: "weight" | "bias"): string {
  return `discriminator.${map}.${layer}.${tensor}`;
}

function entriesOf(node: GraphNode, { h, w, c: channels }: Shape): ParameterEntry[] {
  switch (node.op) {
    case "input":
    case "pool":
    case "globalpool":
    case "add":
    case "xcorr":
    case "inputscale":
    case "gradientbits":
      return [];
    case "quantise": {
      const { rule } = node;
      if (rule.kind !== "bases") return [];
      const { shift, scale } = freshBases(rule);
      return [
        {
          name: parameterName(node, "shift"),
          role: "float",
          shape: [rule.bases],
          initial: { kind: "values", values: shift },
          layer: node.op,
        },
        {
          name: parameterName(node, "scale"),
          role: "float",
          shape: [rule.bases],
          initial: { kind: "values", values: scale },
          layer: node.op,
        },
      ];
    }
    case "gamma":
      return node.axes.map((axis): ParameterEntry => {
        const shape = [{ c: channels, h, w }[axis]];
        if (axis === "c" && node.of !== undefined) {
          return {
            name: gammaParameter(node, axis),
            role: "learned",
            shape,
            initial: { kind: "companion", of: `${node.of}.weight`, name: "mask" },
            layer: node.op,
            measured: true,
          };
        }
        const initial = { kind: "constant", value: 1 } as const;
        return { name: gammaParameter(node, axis), role: "float", shape, initial, layer: node.op };
      });
    case "conv":
    case "rbconv":
    case "qconv": {
      const seen = seenChannels(node, channels);
      const shape = [node.out, node.kernel, node.kernel, seen];
      const fanIn = seen * node.kernel * node.kernel;
      const weight: ParameterEntry = {
        name: parameterName(node, "weight"),
        role: node.op === "conv" ? "float" : "latent",
        shape,
        initial: { kind: "kaiming-normal", fanIn },
        layer: node.op,
        ...(node.op === "qconv" ? { wire: node.weight.kind === "float" ? "f32" : "none" } : {}),
      };
      if (node.op === "conv") return [weight];
      const companions = node.companions.map(
        ({ name, role, shape: own, signs, rate }): ParameterEntry => ({
          name: parameterName(node, name),
          role,
          shape: own,
          initial: { kind: "companion", of: weight.name, name },
          layer: node.op,
          ...(signs ? { wire: "signs" } : {}),
          ...(rate === undefined ? {} : { rate }),
        }),
      );
      return [weight, ...companions];
    }
    case "batchnorm": {
      const vector = (name: string, role: Role, value: number, least?: number): ParameterEntry => ({
        name: parameterName(node, name),
        role,
        shape: [channels],
        initial: { kind: "constant", value },
        layer: node.op,
        ...(least === undefined ? {} : { least }),
      });
      return [
        vector("weight", "float", 1),
        vector("bias", "float", 0),
        vector("running_mean", "statistic", 0),
        vector("running_var", "statistic", 1, 0),
      ];
    }
    case "activation":
      if (node.kind !== "prelu") return [];
      return [
        {
          name: parameterName(node, "weight"),
          role: "float",
          shape: [channels],
          initial: { kind: "constant", value: 0.25 },
          layer: node.op,
        },
      ];
    case "linear":
      return linearEntries(parameterName(node, "weight"), parameterName(node, "bias"), "float", channels, node.out);
    default:
      return node satisfies never;
  }
}

/** Between the shifts of two bases of an activation, at the start, and the scale of each (our choice). */
const FRESH_BASES = { apart: 0.4, scale: 1 };

/** Where ABC-Net's activations begin: v in even steps around 0, and β. */
function freshBases(rule: Extract<QuantiseRule, { kind: "bases" }>) {
  const { bases, apart = FRESH_BASES.apart, scale = FRESH_BASES.scale } = rule;
  const all = Array.from({ length: bases }, (_, j) => j);
  return { shift: all.map((j) => (j - (bases - 1) / 2) * apart), scale: all.map(() => scale) };
}

function linearEntries(weight: string, bias: string, role: Role, input: number, out: number): ParameterEntry[] {
  const initial: Initial = { kind: "uniform", bound: 1 / Math.sqrt(input) };
  const layer = role === "critic" ? "discriminator" : "linear";
  return [
    { name: weight, role, shape: [out, input], initial, layer },
    { name: bias, role, shape: [out], initial, layer },
  ];
}

/** What one node computes with, in its order; nodes of one name share it. */
export function nodeEntries({ nodes, shapes }: Pick<Graph, "nodes" | "shapes">, id: NodeId): readonly ParameterEntry[] {
  const [input] = inputsOf(nodes[id]);
  return entriesOf(nodes[id], shapes[input ?? id]);
}

/**
 * The network's own parameters, in the order of the nodes that name them first; an entry a name.
 * @throws GRAPH_INVALID where nodes share a name and differ in what it is
 */
export function networkManifest(graph: Graph): Manifest {
  const known = new Map<string, { readonly entry: ParameterEntry; readonly node: NodeId; uses: number }>();
  graph.nodes.forEach((_, id) => {
    for (const entry of nodeEntries(graph, id)) {
      const first = known.get(entry.name);
      if (!first) known.set(entry.name, { entry, node: id, uses: 1 });
      else {
        checkShared(graph, first.node, id, first.entry, entry);
        first.uses += 1;
      }
    }
  });
  return { entries: [...known.values()].map(({ entry, uses }) => (uses > 1 ? { ...entry, uses } : entry)) };
}

function checkShared(graph: Graph, first: NodeId, second: NodeId, a: ParameterEntry, b: ParameterEntry): void {
  if (JSON.stringify(a) === JSON.stringify(b)) return;
  const words = (id: NodeId, { role, shape }: ParameterEntry) => {
    const node = graph.nodes[id];
    return `${"name" in node ? node.name : node.op} (node ${id}) wants ${role} [${shape}]`;
  };
  throw new BitswarmError(
    "GRAPH_INVALID",
    `two nodes share ${a.name}: ${words(first, a)}, ${words(second, b)}; give them weights of their own, or the same shape`,
  );
}

/** Batch statistic `use` (from 0) of a running one, as contributions name it. */
export function statisticName(running: string, use: number): string {
  return use === 0 ? running : `${running}#${use}`;
}

/** Every batch statistic of an entry, in the order that they are folded into the running one. */
export function statisticNames({ name, uses = 1 }: Pick<ParameterEntry, "name" | "uses">): readonly string[] {
  return Array.from({ length: uses }, (_, use) => statisticName(name, use));
}

/**
 * One discriminator a compared layer, whichever branch its maps are of: Linear(C,128) → Linear(128,256) →
 * Linear(256,128) → Linear(128,1).
 */
export function discriminatorManifest(graph: Graph): Manifest {
  return {
    entries: criticsOf(graph).flatMap(({ name, channels }) => {
      let input = channels;
      return discriminatorWidths.flatMap((out, layer) => {
        const weight = discriminatorName(name, layer, "weight");
        const entries = linearEntries(weight, discriminatorName(name, layer, "bias"), "critic", input, out);
        input = out;
        return entries;
      });
    }),
  };
}

export function joinManifests(...manifests: readonly Manifest[]): Manifest {
  return { entries: manifests.flatMap((m) => m.entries) };
}

/** What workers hold: all but the companions that are the coordinator's own state. */
export function sentEntries({ entries }: Manifest): Manifest {
  return { entries: entries.filter(({ role }) => role !== "state") };
}

/** What checkpoints hold: all but the companions that follow from their W. */
export function savedEntries({ entries }: Manifest): Manifest {
  return { entries: entries.filter(({ role }) => role !== "derived") };
}

/** A latent weight and what belongs to it. */
export interface LatentEntries {
  readonly weight: ParameterEntry;
  /** By the name that its method calls it. */
  readonly companions: Readonly<Record<string, ParameterEntry>>;
}

/** Every latent weight of a manifest with its companions, in its order. */
export function latentEntries({ entries }: Manifest): readonly LatentEntries[] {
  return entries
    .filter(({ role }) => role === "latent")
    .map((weight) => {
      const own = entries.flatMap((entry) => {
        const { initial } = entry;
        return initial.kind === "companion" && initial.of === weight.name ? [[initial.name, entry] as const] : [];
      });
      return { weight, companions: Object.fromEntries(own) };
    });
}
