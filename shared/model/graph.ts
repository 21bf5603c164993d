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
}

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
  | ({ readonly op: "batchnorm"; readonly input: NodeId } & Named)
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
  | { readonly op: "add"; readonly input: NodeId; readonly other: NodeId };

/** A feature map that a discriminator compares: the batch norm after a binary layer, before the shortcut is added. */
export interface ComparedMap {
  /** The binary layer's name. */
  readonly name: string;
  readonly node: NodeId;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly shapes: readonly Shape[];
  readonly maps: readonly ComparedMap[];
  readonly output: NodeId;
}

export type NamedNode = Extract<GraphNode, Named>;

/** Name of one of a node's parameters: `parameterName(node, "weight")`. */
export function parameterName({ name, weights }: Named, tensor: string): string {
  return `${weights ?? name}.${tensor}`;
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

/** The node's inputs, in order. */
export function inputsOf(node: GraphNode): readonly NodeId[] {
  switch (node.op) {
    case "input":
      return [];
    case "add":
      return [node.input, node.other];
    case "conv":
    case "rbconv":
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

function shapeOf(node: GraphNode, input: Shape, other: Shape | undefined): Shape {
  switch (node.op) {
    case "input":
      return input;
    case "conv":
    case "rbconv":
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
    case "batchnorm":
    case "activation":
      return input;
    default:
      return node satisfies never;
  }
}

/** Layers and other nodes: five times those of the deepest residual networks that were published. */
export const MOST_NODES = 16_384;
/** Values of the parameters: 512 MiB in float32, of which the coordinator holds a handful of copies. */
export const MOST_PARAMETERS = 2 ** 27;
/** Values that a forward pass of one sample makes. */
export const MOST_ACTIVATIONS = 2 ** 28;

/** Values of a node's own parameters. */
function parameterCount(node: GraphNode, channels: number): number {
  switch (node.op) {
    case "conv":
    case "rbconv": {
      const own = node.op === "rbconv" ? node.companions : [];
      const beside = own.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
      return node.out * node.kernel * node.kernel * channels + beside;
    }
    case "batchnorm":
      return 4 * channels;
    case "activation":
      return node.kind === "prelu" ? channels : 0;
    case "linear":
      return (channels + 1) * node.out;
    case "input":
    case "pool":
    case "globalpool":
    case "add":
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
    this.#parameters += parameterCount(node, input.c);
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

  compare(name: string, node: NodeId): void {
    this.#maps.push({ name, node });
  }

  shape(node: NodeId): Shape {
    return this.#shapes[node];
  }

  build(output: NodeId): Graph {
    return { nodes: this.#nodes, shapes: this.#shapes, maps: this.#maps, output };
  }
}
