// A case's whole layer, whatever it combines: the weights of one method, the activations of another, an output of a
// third. Where a method's own body is that layer it is taken as it is; else the same is built of the product's nodes,
// and the rule of its weights stays the method's.

import {
  type Companion,
  type ConvolutionFields,
  type Graph,
  GraphBuilder,
  type GraphNode,
  type NodeId,
  type QuantiseRule,
  type Shape,
  type WeightForm,
} from "../../../shared/model/graph.ts";
import { planesCompanion } from "../../../shared/model/methods/quantised-body.ts";
import { quantiseRuleOf } from "./activation.ts";
import type { CaseLayer, ConvolutionAttributes } from "./case-method.ts";
import { effectiveOf } from "./layer.ts";
import { addOutput, type OutputKind, outputKind } from "./output.ts";

type Convolution = Extract<GraphNode, { op: "rbconv" | "qconv" }>;
type BinaryConvolution = Extract<GraphNode, { op: "rbconv" }>;

/** The node that a graph of one layer is about. */
function convolutionOf({ nodes }: Graph): Convolution {
  const node = nodes.find(({ op }) => op === "rbconv" || op === "qconv");
  if (node?.op !== "rbconv" && node?.op !== "qconv") throw new RangeError("the graph has no binary layer");
  return node;
}

/** What a layer is beside its weights, in words that are equal where the layers are. */
function wordsOf(rule: QuantiseRule | undefined, output: OutputKind): string {
  const of = rule && { ...rule, ...(rule.kind === "bases" ? { apart: undefined, scale: undefined } : {}) };
  return JSON.stringify([of, output]);
}

/** The rule of the map that a graph's convolution reads; undefined of floats. */
export function inputRule(graph: Graph): QuantiseRule | undefined {
  const node = convolutionOf(graph);
  if (node.op === "rbconv") return { kind: "sign", surrogate: node.surrogate };
  const input = graph.nodes[node.input];
  return input.op === "quantise" ? input.rule : undefined;
}

function outputOf({ nodes }: Graph): OutputKind {
  if (nodes.some(({ op }) => op === "inputscale")) return "box";
  return nodes.some((node) => node.op === "gamma" && node.axes.includes("h")) ? "gamma" : undefined;
}

interface Weights {
  readonly form: WeightForm;
  readonly companions: readonly Companion[];
}

/** The weights of a layer of signs, as one that reads other maps has them: a plane and its scales, or floats. */
function ofSigns({ rectify, companions, out, kernel }: BinaryConvolution, input: number): Weights {
  if (rectify === "kernel" || rectify === "filter") return { form: { kind: "float" }, companions: [] };
  const form: WeightForm = { kind: "linear", planes: 1, scale: rectify };
  const scale = { ...companions.filter(({ name }) => name === "c")[0], shape: rectify === "out" ? [1, out] : [1] };
  return { form, companions: [planesCompanion(form, { out, kernel, in: input }), scale] };
}

function fieldsOf({ name, out, kernel, stride, padding }: Convolution, input: NodeId): ConvolutionFields {
  return { name, out, kernel, stride, padding, input };
}

/** The layer with other activations and another output. */
function rebuilt(own: Graph, shape: Shape, rule: QuantiseRule | undefined, output: OutputKind): Graph {
  const node = convolutionOf(own);
  const g = new GraphBuilder(shape);
  const fields = fieldsOf(node, g.input);
  let last: NodeId;
  if (node.op === "rbconv" && rule?.kind === "sign") {
    last = g.add({ ...node, ...fields, surrogate: rule.surrogate });
  } else {
    const { form: weight, companions } =
      node.op === "rbconv" ? ofSigns(node, shape.c) : { form: node.weight, companions: node.companions };
    const input = rule ? g.add({ op: "quantise", name: `${node.name}.input`, rule, input: g.input }) : g.input;
    last = g.add({ op: "qconv", ...fields, weight, companions, input });
  }
  const masks = own.nodes.find((one) => one.op === "gamma" && one.of !== undefined);
  if (masks?.op === "gamma") last = g.add({ ...masks, input: last });
  return g.build(addOutput(g, output, fields, last));
}

/** @param own the graph of the method's body @throws NotSupported */
export function combinedGraph(own: Graph, { activation, output }: ConvolutionAttributes): Graph {
  const [rule, kind] = [quantiseRuleOf(activation), outputKind(output)];
  if (wordsOf(rule, kind) === wordsOf(inputRule(own), outputOf(own))) return own;
  return rebuilt(own, own.shapes[0], rule, kind);
}

/** What a worker has of the layer's weights, by whole names: W itself or, where it travels as floats, W̃. */
export function sentWeights(of: CaseLayer, graph: Graph): Readonly<Record<string, Float32Array>> {
  const { weight, companions } = of.layer;
  const node = convolutionOf(graph);
  const floats = node.op === "qconv" && node.weight.kind === "float";
  return {
    "l.weight": floats ? effectiveOf(of) : weight,
    // Of a layer of signs W itself says them.
    "l.planes": weight.map((w) => (w < 0 ? -1 : 1)),
    ...Object.fromEntries(Object.entries(companions).map(([name, values]) => [`l.${name}`, values])),
  };
}
