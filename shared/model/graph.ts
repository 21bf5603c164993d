// A network as data: nodes in topological order with inferred shapes. Planner, manifest and export all read this one
// description.

import { BitswarmError } from "../base/errors.ts";
import type { Rectify, Surrogate } from "./rectify.ts";
import { outputLength } from "./window.ts";

/** [h][w][c] of one sample. */
export interface Shape {
  readonly h: number;
  readonly w: number;
  readonly c: number;
}

export type ActivationKind = "prelu" | "relu" | "hardtanh" | "identity";

/** An input of a network: what a sample of it is called, where a network has several. */
export interface InputShape extends Shape {
  readonly name?: string;
}

/** PyTorch's default epsilon of batch normalisation. */
export const NORM_EPSILON = 1e-5;

/** What an input is called that has no name of its own. */
export const INPUT = "input";

/** A node with parameters. */
interface Named {
  /** The node's own name, e.g. `layer1.0.conv1`, and the prefix of its parameters' unless `weights` is. */
  readonly name: string;
  /** Prefix of the parameters' names, where branches share them: their gradients are summed. */
  readonly weights?: string;
}

/** Name and geometry of one convolution. */
export interface ConvolutionFields extends Named {
  readonly input: NodeId;
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  /** Group g of the outputs sees group g of the inputs alone: weights are [out][kh][kw][in / groups]. 1 by default. */
  readonly groups?: number;
}

/**
 * What belongs to the latent weight W of a layer beside itself. `learned`: trained, such as RBCN's C. `derived`:
 * follows from W, such as XNOR-Net's α; it is sent with every W, never trained, and in no checkpoint. `state`: of the
 * coordinator alone, such as a mask of frozen weights; it is in checkpoints and never sent.
 */
export interface Companion {
  /** Its parameter's name is the layer's and this: `layer1.0.conv1.c`. */
  readonly name: string;
  readonly role: "learned" | "derived" | "state";
  /** In OHWI order where it has four axes. */
  readonly shape: readonly number[];
  /** Values are ±1, and travel as sign planes; as f32 unless given. */
  readonly signs?: true;
  /** Of a `learned` one: its rate is this of optimizer.learningRate, and optimizer.rectifierRate unless given. */
  readonly rate?: number;
}

/**
 * How bit planes make W̃, the weight that a convolution sees. A set bit is −1, as in every sign plane; the planes are
 * the companion `planes` [planes][out][kh][kw][in], their scales the companion `c`.
 */
export type WeightForm =
  /** W̃ = W, which travels as f32 and is no plane. */
  | { readonly kind: "float" }
  /** W̃ = Σ_m c_m B_m, with c [planes], or [planes][out]. */
  | { readonly kind: "linear"; readonly planes: number; readonly scale: "layer" | "out" }
  /** Two planes, signs and a mask whose set bit makes a 0; else W̃ is c[0] where the sign is +, −c[1] where it is −. */
  | { readonly kind: "ternary" }
  /** W̃ = c[Σ_m bit_m 2^m], with c [2^planes], or [out][2^planes]. */
  | { readonly kind: "table"; readonly planes: number; readonly scale: "layer" | "out" };

/** Bit planes of a weight on its way to workers. */
export function planesOf(form: WeightForm): number {
  switch (form.kind) {
    case "float":
      return 0;
    case "ternary":
      return 2;
    case "linear":
    case "table":
      return form.planes;
    default:
      return form satisfies never;
  }
}

/** Shape of what planes are worth. @throws RangeError for a weight of floats */
export function scaleShape(form: WeightForm, out: number): readonly number[] {
  switch (form.kind) {
    case "float":
      throw new RangeError("a weight of floats has no planes and no scale");
    case "linear":
      return form.scale === "out" ? [form.planes, out] : [form.planes];
    case "ternary":
      return [2];
    case "table":
      return form.scale === "out" ? [out, 2 ** form.planes] : [2 ** form.planes];
    default:
      return form satisfies never;
  }
}

/** How a map is made of few bits. */
export type QuantiseRule =
  /** ±1: a plane, whose set bit is −1. */
  | { readonly kind: "sign"; readonly surrogate: Surrogate }
  /** 2^bits levels of [0, 1], ties to even: plane j has bit j of the level; the slope is 1 on [0, 1] (DoReFa-Net). */
  | { readonly kind: "bits"; readonly bits: number }
  /**
   * Σ_j β_j A_j, with A_j = 1 where clip(x + v_j, 0, 1) ≥ ½ and −1 elsewhere: a plane each, whose set bit is −1
   * (ABC-Net). v begins `apart` from one base to the next, around 0, and β at `scale`; 0.4 and 1 unless given.
   */
  | { readonly kind: "bases"; readonly bases: number; readonly apart?: number; readonly scale?: number };

/** Bit planes of a quantised map. */
export function activationPlanes(rule: QuantiseRule): number {
  switch (rule.kind) {
    case "sign":
      return 1;
    case "bits":
      return rule.bits;
    case "bases":
      return rule.bases;
    default:
      return rule satisfies never;
  }
}

/** Along what a map's factors vary. */
export type GammaAxis = "c" | "h" | "w";

/** Index of a node in its graph. */
export type NodeId = number;

export type GraphNode =
  | { readonly op: "input"; readonly name: string }
  | ({ readonly op: "conv" } & ConvolutionFields)
  /** sign of the input, then a convolution with sign(W) ⊙ C. */
  | ({
      readonly op: "rbconv";
      readonly rectify: Rectify;
      readonly surrogate: Surrogate;
      /** Those of the latent W; `c`, of rectifyShape, is the C that the convolution multiplies by. */
      readonly companions: readonly Companion[];
    } & ConvolutionFields)
  /** A convolution with a weight of bit planes, whose input is a `quantise` node or a map of floats. */
  | ({
      readonly op: "qconv";
      readonly weight: WeightForm;
      /** Those of the latent W; `planes` and `c` are the form's. */
      readonly companions: readonly Companion[];
    } & ConvolutionFields)
  | ({ readonly op: "quantise"; readonly rule: QuantiseRule; readonly input: NodeId } & Named)
  /**
   * The map times factors of each axis, all from 1: `out` [c], `h` [h] and `w` [w] (XNOR-Net++). With `of`, a binary
   * layer's name, those of the channels are the learned companion `mask` of its W.
   */
  | ({
      readonly op: "gamma";
      readonly axes: readonly GammaAxis[];
      readonly of?: string;
      readonly input: NodeId;
    } & Named)
  /**
   * XNOR-Net's K: the input times the mean, over the window and the channels of `other`, of its magnitude; no gradient
   * goes through K.
   */
  | {
      readonly op: "inputscale";
      readonly input: NodeId;
      readonly other: NodeId;
      readonly kernel: number;
      readonly stride: number;
      readonly padding: number;
    }
  /** The input; its gradient goes back in `bits` bits (DoReFa-Net). */
  | { readonly op: "gradientbits"; readonly bits: number; readonly input: NodeId }
  /** `epsilon`: PyTorch's default, NORM_EPSILON, unless given. */
  | ({ readonly op: "batchnorm"; readonly input: NodeId; readonly epsilon?: number } & Named)
  | ({
      readonly op: "activation";
      readonly kind: Exclude<ActivationKind, "identity">;
      readonly input: NodeId;
    } & Named)
  | {
      readonly op: "pool";
      readonly kind: "max" | "avg";
      readonly input: NodeId;
      readonly kernel: number;
      readonly stride: number;
      readonly padding: number;
    }
  | { readonly op: "globalpool"; readonly input: NodeId }
  | ({ readonly op: "linear"; readonly input: NodeId; readonly out: number } & Named)
  | { readonly op: "add"; readonly input: NodeId; readonly other: NodeId }
  /**
   * The response of a search to an exemplar: its correlation with the exemplar's map at every place where that fits, of
   * all channels together, times `scale` (SiamFC: Bertinetto et al. 2016).
   */
  | { readonly op: "xcorr"; readonly search: NodeId; readonly exemplar: NodeId; readonly scale: number };

/**
 * A feature map that a discriminator compares: the batch norm after a binary layer, or what its method puts behind
 * that, before the shortcut is added.
 */
export interface ComparedMap {
  /** The binary layer's name. */
  readonly name: string;
  readonly node: NodeId;
  /** Who judges it, where branches that share parameters share their discriminators: the layer's name unless given. */
  readonly critic?: string;
}

/** A discriminator with the maps that it judges. */
export interface Critic {
  readonly name: string;
  /** Places among the graph's maps. */
  readonly maps: readonly number[];
  readonly channels: number;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly shapes: readonly Shape[];
  readonly maps: readonly ComparedMap[];
  readonly output: NodeId;
}

export type NamedNode = Extract<GraphNode, Named>;

/** What of a node decides the shape of its map: of a graph that is built, and of one that a file describes. */
export type NodeGeometry =
  | Pick<
      Extract<GraphNode, { op: "conv" | "rbconv" | "qconv" }>,
      "op" | "name" | "out" | "kernel" | "stride" | "padding" | "groups"
    >
  | Pick<Extract<GraphNode, { op: "pool" }>, "op" | "kind" | "kernel" | "stride" | "padding">
  | Pick<Extract<GraphNode, { op: "linear" }>, "op" | "name" | "out">
  | Pick<Extract<GraphNode, { op: "inputscale" }>, "op" | "kernel" | "stride" | "padding">
  | {
      readonly op:
        | "input"
        | "globalpool"
        | "add"
        | "xcorr"
        | "batchnorm"
        | "activation"
        | "quantise"
        | "gamma"
        | "gradientbits";
    };

/** Name of one of a node's parameters: `parameterName(node, "weight")`. */
export function parameterName({ name, weights }: Named, tensor: string): string {
  return `${weights ?? name}.${tensor}`;
}

/** Name of the factors of one axis of a gamma node. */
export function gammaParameter(node: Extract<GraphNode, { op: "gamma" }>, axis: GammaAxis): string {
  if (axis !== "c") return parameterName(node, axis);
  return node.of === undefined ? parameterName(node, "out") : `${node.of}.mask`;
}

/** The network's inputs, in order. */
export function graphInputs(graph: Pick<Graph, "nodes">): readonly { readonly name: string; readonly node: NodeId }[] {
  return graph.nodes.flatMap((node, id) => (node.op === "input" ? [{ name: node.name, node: id }] : []));
}

/** How many batch norms before this one share its parameters: each has a batch statistic of its own. */
export function useOf(graph: Pick<Graph, "nodes">, norm: NodeId): number {
  const shared = (node: GraphNode) => node.op === "batchnorm" && (node.weights ?? node.name);
  const mine = shared(graph.nodes[norm]);
  return graph.nodes.slice(0, norm).filter((node) => node.op === "batchnorm" && shared(node) === mine).length;
}

/** Channels of the input that an output of a convolution sees. */
export function seenChannels({ groups = 1 }: Pick<ConvolutionFields, "groups">, channels: number): number {
  return channels / groups;
}

/**
 * The discriminators that maps have, in the order of their first ones; each judges as many maps as the others.
 * @throws GRAPH_INVALID
 */
export function criticsOf({ maps, shapes }: Pick<Graph, "maps" | "shapes">): readonly Critic[] {
  const critics = new Map<string, { name: string; maps: number[]; channels: number }>();
  maps.forEach(({ name, critic = name, node }, place) => {
    const { c: channels } = shapes[node];
    const known = critics.get(critic) ?? { name: critic, maps: [], channels };
    critics.set(critic, known);
    known.maps.push(place);
    if (known.channels !== channels) {
      throw new BitswarmError(
        "GRAPH_INVALID",
        `${name}: its discriminator ${critic} judges ${known.channels} channels, and the map has ${channels}`,
      );
    }
  });
  const all = [...critics.values()];
  const uneven = all.find((critic) => critic.maps.length !== all[0].maps.length);
  if (!uneven) return all;
  throw new BitswarmError(
    "GRAPH_INVALID",
    `discriminator ${uneven.name} judges ${uneven.maps.length} maps, and ${all[0].name} ${all[0].maps.length}; each judges as many`,
  );
}

/** The node's inputs, in order. */
export function inputsOf(node: GraphNode): readonly NodeId[] {
  switch (node.op) {
    case "input":
      return [];
    case "add":
    case "inputscale":
      return [node.input, node.other];
    case "xcorr":
      return [node.search, node.exemplar];
    case "conv":
    case "rbconv":
    case "qconv":
    case "quantise":
    case "gamma":
    case "gradientbits":
    case "batchnorm":
    case "activation":
    case "pool":
    case "globalpool":
    case "linear":
      return [node.input];
    default:
      return node satisfies never;
  }
}

function windowed(shape: Shape, kernel: number, stride: number, padding: number, out: number, name: string): Shape {
  const h = outputLength(shape.h, kernel, stride, padding);
  const w = outputLength(shape.w, kernel, stride, padding);
  if (h < 1 || w < 1) {
    throw new BitswarmError(
      "GRAPH_INVALID",
      `${name}: a ${kernel}x${kernel} window with stride ${stride} and padding ${padding} does not fit ${shape.h}x${shape.w}; use larger images or a smaller stem`,
    );
  }
  return { h, w, c: out };
}

/** @throws GRAPH_INVALID for groups that channels cannot be cut into, and where a layer of planes has any */
function requireGroups(
  { op, name, out, groups = 1 }: Extract<NodeGeometry, { readonly stride: number; readonly name: string }>,
  { c: channels }: Shape,
): void {
  const wrong = (what: string) => new BitswarmError("GRAPH_INVALID", `${name}: ${what}`);
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0 || out % groups !== 0) {
    throw wrong(
      `${groups} groups do not divide ${channels} input channels and ${out} outputs; take a number that divides both`,
    );
  }
  if (op === "qconv" && groups > 1) {
    throw wrong(
      `${groups} groups, and a layer of bit planes has one; take another method (full, bnn, xnor, bireal, rbcn), or groups 1`,
    );
  }
}

/**
 * The shape of a node's map.
 * @param input of an `input` node its own
 * @throws GRAPH_INVALID for shapes that do not fit each other
 */
export function shapeOf(node: NodeGeometry, input: Shape, other?: Shape): Shape {
  switch (node.op) {
    case "input":
      return input;
    case "conv":
    case "rbconv":
    case "qconv":
      requireGroups(node, input);
      return windowed(input, node.kernel, node.stride, node.padding, node.out, node.name);
    case "pool":
      return windowed(input, node.kernel, node.stride, node.padding, input.c, `${node.kind}-pool`);
    case "globalpool":
      return { h: 1, w: 1, c: input.c };
    case "linear":
      if (input.h !== 1 || input.w !== 1) {
        throw new BitswarmError(
          "GRAPH_INVALID",
          `${node.name}: a linear layer wants a 1x1 map, got ${input.h}x${input.w}`,
        );
      }
      return { h: 1, w: 1, c: node.out };
    case "add":
      if (!other || other.h !== input.h || other.w !== input.w || other.c !== input.c) {
        throw new BitswarmError(
          "GRAPH_INVALID",
          `add: shapes differ, ${JSON.stringify(input)} and ${JSON.stringify(other)}`,
        );
      }
      return input;
    case "inputscale": {
      const { h, w } = windowed(other ?? input, node.kernel, node.stride, node.padding, input.c, "inputscale");
      if (h === input.h && w === input.w) return input;
      throw new BitswarmError(
        "GRAPH_INVALID",
        `inputscale: its window leaves ${h}x${w} of ${JSON.stringify(other)}, and the map is ${JSON.stringify(input)}`,
      );
    }
    case "xcorr":
      return responseShape(input, other);
    case "batchnorm":
    case "activation":
    case "quantise":
    case "gamma":
    case "gradientbits":
      return input;
    default:
      return node satisfies never;
  }
}

/** Where an exemplar fits into a search. @throws GRAPH_INVALID where it does not */
function responseShape(search: Shape, exemplar: Shape | undefined): Shape {
  const [h, w] = exemplar ? [search.h - exemplar.h + 1, search.w - exemplar.w + 1] : [0, 0];
  if (exemplar && exemplar.c === search.c && h >= 1 && w >= 1) return { h, w, c: 1 };
  const size = (shape?: Shape) => (shape ? `${shape.h}×${shape.w}×${shape.c}` : "none");
  throw new BitswarmError(
    "GRAPH_INVALID",
    `xcorr: the exemplar's map of ${size(exemplar)} does not fit into the search's of ${size(search)}; give both the same channels, and the search the larger image`,
  );
}

/** Layers and other nodes: five times those of the deepest residual networks that were published. */
export const MOST_NODES = 16_384;
/** Values of the parameters: 512 MiB in float32, of which the coordinator holds a handful of copies. */
export const MOST_PARAMETERS = 2 ** 27;
/** Values that a forward pass of one sample makes. */
export const MOST_ACTIVATIONS = 2 ** 28;

/** Values of a node's own parameters. */
function parameterCount(node: GraphNode, { h, w, c: channels }: Shape): number {
  switch (node.op) {
    case "conv":
    case "rbconv":
    case "qconv": {
      const own = node.op === "conv" ? [] : node.companions;
      const beside = own.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
      return node.out * node.kernel * node.kernel * seenChannels(node, channels) + beside;
    }
    case "batchnorm":
      return 4 * channels;
    case "activation":
      return node.kind === "prelu" ? channels : 0;
    case "linear":
      return (channels + 1) * node.out;
    case "quantise":
      return node.rule.kind === "bases" ? 2 * node.rule.bases : 0;
    case "gamma":
      return node.axes.reduce((sum, axis) => sum + { c: channels, h, w }[axis], 0);
    case "input":
    case "pool":
    case "globalpool":
    case "add":
    case "xcorr":
    case "inputscale":
    case "gradientbits":
      return 0;
    default:
      return node satisfies never;
  }
}

/** Builds a graph node by node; shapes and sizes are checked as nodes are added, before anything is allocated. */
export class GraphBuilder {
  /** The first input. */
  readonly input: NodeId = 0;
  /** All of them, in order. */
  readonly inputs: readonly NodeId[];
  #nodes: GraphNode[];
  #shapes: Shape[];
  #maps: ComparedMap[] = [];
  #parameters = 0;
  #activations = 0;

  /** @throws GRAPH_INVALID for two inputs of one name */
  constructor(...inputs: readonly [InputShape, ...InputShape[]]) {
    const names = inputs.map(({ name = INPUT }) => name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) throw new BitswarmError("GRAPH_INVALID", `two inputs are called ${twice}`);
    this.inputs = inputs.map((_, id) => id);
    this.#nodes = names.map((name) => ({ op: "input", name }));
    this.#shapes = inputs.map(({ h, w, c }) => ({ h, w, c }));
  }

  /** @throws GRAPH_INVALID for shapes that do not fit each other, and for a network that is too large */
  add(node: Exclude<GraphNode, { op: "input" }>): NodeId {
    const inputs = inputsOf(node);
    const input = this.shape(inputs[0]);
    const shape = shapeOf(node, input, inputs[1] === undefined ? undefined : this.shape(inputs[1]));
    this.#parameters += parameterCount(node, input);
    this.#activations += shape.h * shape.w * shape.c;
    this.#requireSize("name" in node ? node.name : node.op);
    this.#shapes.push(shape);
    this.#nodes.push(node);
    return this.#nodes.length - 1;
  }

  #requireSize(at: string): void {
    const sizes = [
      [this.#nodes.length + 1, MOST_NODES, "nodes"],
      [this.#parameters, MOST_PARAMETERS, "parameters"],
      [this.#activations, MOST_ACTIVATIONS, "values a sample in its forward pass"],
    ] as const;
    for (const [actual, limit, what] of sizes) {
      if (actual <= limit) continue;
      throw new BitswarmError(
        "GRAPH_INVALID",
        `the network has ${actual} ${what} up to ${at}; the limit is ${limit}: make it narrower or shallower (model), or the images smaller`,
      );
    }
  }

  /** An activation by name; `identity` adds nothing. */
  activation(kind: ActivationKind, name: string, input: NodeId): NodeId {
    return kind === "identity" ? input : this.add({ op: "activation", kind, name, input });
  }

  /** @param critic who judges the map; a discriminator of its own unless given */
  compare(name: string, node: NodeId, critic?: string): void {
    this.#maps.push({ name, node, ...(critic === undefined ? {} : { critic }) });
  }

  shape(node: NodeId): Shape {
    return this.#shapes[node];
  }

  build(output: NodeId): Graph {
    return { nodes: this.#nodes, shapes: this.#shapes, maps: this.#maps, output };
  }
}
