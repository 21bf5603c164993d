// What each op of a network is in standard operators: a line an op, a rule of few bits or an activation, and the
// compiler asks for those of a new one.

import type {
  ExportedModel,
  ExportedNode,
  ExportedNodeOf,
  ExportedOp,
  ExportedRule,
} from "../../../shared/export/exported-model.ts";
import { floatsOf } from "../../../shared/export/read-exported.ts";
import type { NodeId } from "../../../shared/model/graph.ts";
import type { OnnxAttribute } from "./onnx-file.ts";
import type { OnnxGraph, Value } from "./onnx-graph.ts";
import { convolutionWeight, floatTensor, type WeightKind } from "./weights.ts";

/** What a lowering works on. */
interface Lowering {
  readonly graph: OnnxGraph;
  readonly model: ExportedModel;
  readonly weights: WeightKind;
  readonly id: NodeId;
  /** What the node's values are called. */
  readonly name: string;
  /** What an earlier node gives. */
  readonly value: (id: NodeId) => Value;
  /** The same as a map, whose axes are [n][c][h][w]. */
  readonly map: (id: NodeId) => string;
}

type Lower<Node> = (node: Node, at: Lowering) => Value;

interface Window {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

function windowAttributes({ kernel, stride, padding }: Window): Record<string, OnnxAttribute> {
  const twice = (length: number) => ({ ints: [length, length] });
  return {
    kernel_shape: twice(kernel),
    strides: twice(stride),
    pads: { ints: [padding, padding, padding, padding] },
  };
}

const asMap = (name: string): Value => ({ name, flat: false });

/** −1 where x is below the bound, else +1: sign(0) is +1, and the standard's Sign has 0 there. */
function signs({ graph }: Lowering, name: string, x: string, bound = 0): string {
  const below = graph.add("Less", `${name}.below`, [x, graph.constant("f32", bound)]);
  return graph.add("Where", name, [below, graph.constant("f32", -1), graph.constant("f32", 1)]);
}

const rules: {
  readonly [Kind in ExportedRule["kind"]]: (
    rule: Extract<ExportedRule, { readonly kind: Kind }>,
    x: string,
    node: ExportedNodeOf<"quantise">,
    at: Lowering,
  ) => string;
} = {
  sign: (_, x, __, at) => signs(at, at.name, x),
  bits: ({ bits }, x, _, { graph, name }) => {
    const levels = 2 ** bits - 1;
    const clipped = graph.add("Clip", `${name}.clipped`, [x, graph.constant("f32", 0), graph.constant("f32", 1)]);
    const scaled = graph.add("Mul", `${name}.scaled`, [clipped, graph.constant("f32", levels)]);
    // Ties to even, as the network's own.
    const level = graph.add("Round", `${name}.level`, [scaled]);
    return graph.add("Mul", name, [level, graph.constant("f32", Math.fround(1 / levels))]);
  },
  bases: ({ bases }, x, { tensors }, at) => {
    const { graph, model, name } = at;
    const [shift, scale] = [tensors.shift, tensors.scale].map((tensor) => floatsOf(model, tensor!));
    const parts = Array.from({ length: bases }, (_, j) => {
      const own = `${name}.${j}`;
      const shifted = graph.add("Add", `${own}.shifted`, [x, graph.constant("f32", shift[j])]);
      // clip(s, 0, 1) ≥ ½ exactly where s is.
      return graph.add("Mul", own, [signs(at, `${own}.sign`, shifted, 0.5), graph.constant("f32", scale[j])]);
    });
    return graph.add("Sum", name, parts);
  },
};

/** A channel's number, for every position of a map. */
function perChannel({ graph, model }: Lowering, tensor: string): string {
  const values = floatsOf(model, tensor);
  return graph.once(`channels:${tensor}`, () => graph.tensor(tensor, "f32", [values.length, 1, 1], values));
}

const activations: { readonly [Kind in ExportedNodeOf<"activation">["kind"]]: Lower<ExportedNodeOf<"activation">> } = {
  prelu: ({ input, tensors }, at) =>
    asMap(at.graph.add("PRelu", at.name, [at.map(input), perChannel(at, tensors.weight!)])),
  relu: ({ input }, { graph, name, map }) => asMap(graph.add("Relu", name, [map(input)])),
  hardtanh: ({ input }, { graph, name, map }) =>
    asMap(graph.add("Clip", name, [map(input), graph.constant("f32", -1), graph.constant("f32", 1)])),
};

function convolve(node: ExportedNodeOf<"conv" | "rbconv" | "qconv">, x: string, at: Lowering): Value {
  const { graph, model, id, weights, name } = at;
  const weight = convolutionWeight(graph, model, id, weights);
  const groups = node.op === "qconv" ? undefined : node.groups;
  const attributes = { ...windowAttributes(node), ...(groups !== undefined && { group: { int: groups } }) };
  return asMap(graph.add("Conv", name, [x, weight], attributes));
}

const lowerings: { readonly [Op in ExportedOp]: Lower<ExportedNodeOf<Op>> } = {
  input: ({ name }) => asMap(name),
  conv: (node, at) => convolve(node, at.map(node.input), at),
  // Beyond the border there is 0, and no sign.
  rbconv: (node, at) => {
    const { name } = at.value(node.input);
    const bits = at.graph.once(`signs:${name}`, () => signs(at, `${name}.sign`, at.map(node.input)));
    return convolve(node, bits, at);
  },
  qconv: (node, at) => convolve(node, at.map(node.input), at),
  quantise: (node, at) => asMap(lowerRule(node.rule, at.map(node.input), node, at)),
  gamma: ({ input, tensors }, { graph, model, name, map }) => {
    const dims = { c: [-1, 1, 1], h: [-1, 1], w: [-1] };
    let made = map(input);
    for (const axis of ["c", "h", "w"] as const) {
      const tensor = tensors[axis];
      if (tensor === undefined) continue;
      const values = floatsOf(model, tensor);
      const shape = dims[axis].map((length) => (length === -1 ? values.length : length));
      const factors = graph.once(`factors:${tensor}`, () => graph.tensor(tensor, "f32", shape, values));
      made = graph.add("Mul", `${name}.${axis}`, [made, factors]);
    }
    return asMap(made);
  },
  inputscale: (node, { graph, name, map }) => {
    const magnitudes = graph.add("Abs", `${name}.magnitudes`, [map(node.other)]);
    const mean = graph.add("ReduceMean", `${name}.mean`, [magnitudes], { axes: { ints: [1] }, keepdims: { int: 1 } });
    const box = { ...windowAttributes(node), count_include_pad: { int: 1 } };
    const scale = graph.add("AveragePool", `${name}.k`, [mean], box);
    return asMap(graph.add("Mul", name, [map(node.input), scale]));
  },
  batchnorm: ({ input, epsilon, tensors: { weight, bias, mean, variance } }, { graph, model, name, map }) => {
    const own = [weight, bias, mean, variance].map((tensor) => floatTensor(graph, model, tensor));
    return asMap(graph.add("BatchNormalization", name, [map(input), ...own], { epsilon: { float: epsilon } }));
  },
  activation: (node, at) => activations[node.kind](node, at),
  pool: (node, { graph, name, map }) => {
    const window = windowAttributes(node);
    switch (node.kind) {
      case "max":
        return asMap(graph.add("MaxPool", name, [map(node.input)], window));
      case "avg":
        return asMap(graph.add("AveragePool", name, [map(node.input)], { ...window, count_include_pad: { int: 1 } }));
      default:
        return node.kind satisfies never;
    }
  },
  globalpool: ({ input }, { graph, name, map }) => asMap(graph.add("GlobalAveragePool", name, [map(input)])),
  linear: ({ input, tensors: { weight, bias } }, { graph, model, name, value }) => {
    const inputs = [graph.flat(value(input)), ...[weight, bias].map((tensor) => floatTensor(graph, model, tensor))];
    return { name: graph.add("Gemm", name, inputs, { transB: { int: 1 } }), flat: true };
  },
  add: ({ input, other }, { graph, name, map }) => asMap(graph.add("Add", name, [map(input), map(other)])),
};

function lowerRule<Kind extends ExportedRule["kind"]>(
  rule: Extract<ExportedRule, { readonly kind: Kind }>,
  x: string,
  node: ExportedNodeOf<"quantise">,
  at: Lowering,
): string {
  return rules[rule.kind as Kind](rule, x, node, at);
}

function lower<Op extends ExportedOp>(node: ExportedNodeOf<Op>, at: Lowering): Value {
  const op = node.op as Op;
  return lowerings[op](node, at);
}

/** A node's own name, or what it does and its place: `add.12`. */
function nameOf(node: ExportedNode, id: NodeId): string {
  return "name" in node ? node.name : `${node.op}.${id}`;
}

/** Adds the network to a graph, which has the names of its inputs. @returns what its output gives */
export function lowerNetwork(graph: OnnxGraph, model: ExportedModel, weights: WeightKind): Value {
  const values: Value[] = [];
  const value = (id: NodeId) => values[id];
  const map = (id: NodeId) => graph.map(values[id]);
  for (const [id, node] of model.nodes.entries()) {
    values.push(lower(node, { graph, model, weights, id, name: nameOf(node, id), value, map }));
  }
  return values[model.output];
}
