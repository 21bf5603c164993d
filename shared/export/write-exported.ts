// The writer's half: from a network as it was trained to the file that inference needs, without what only training asks
// for.

import { type SafeTensor, tensorOf, writeSafetensors } from "../base/safetensors.ts";
import { type Shape4, toOihw } from "../model/axes.ts";
import {
  type ConvolutionFields,
  type Graph,
  type GraphNode,
  gammaParameter,
  inputsOf,
  NORM_EPSILON,
  type NodeId,
  parameterName,
  type QuantiseRule,
  seenChannels,
} from "../model/graph.ts";
import { packSignPlanes } from "../model/sign-planes.ts";
import type { Description, ExportedNode, ExportedRule } from "./exported-model.ts";
import { EXPORT_FORMAT, EXPORT_VERSION } from "./exported-model.ts";
import { tensorShapes } from "./tensor-shapes.ts";
import { tensorsChecksum } from "./tensors-checksum.ts";
import { howToRead } from "./words.ts";

/** Values of a parameter by its name, f32 in the order of the graph's manifest. @throws for a name that is none */
export type ValuesOf = (name: string) => Float32Array;

/** A tensor of the file, and the parameter that it is of. */
interface Source {
  readonly parameter: string;
  /** In the manifest's order. */
  readonly shape?: readonly number[];
}

interface ExportedNetwork {
  readonly nodes: readonly ExportedNode[];
  readonly output: NodeId;
  /** By the name in the file. */
  readonly sources: ReadonlyMap<string, Source>;
}

function exportedRule(rule: QuantiseRule): ExportedRule {
  switch (rule.kind) {
    case "sign":
      return { kind: rule.kind };
    case "bits":
      return { kind: rule.kind, bits: rule.bits };
    case "bases":
      return { kind: rule.kind, bases: rule.bases };
    default:
      return rule satisfies never;
  }
}

/** Signs stand beside the floats that they are of, under a name of their own. */
const signsName = (parameter: string) => `${parameter}.signs`;

/**
 * A node as a file has it; nothing where it is the identity for inference.
 * @param place of a node in the file
 */
function exportedNode(node: GraphNode, place: (id: NodeId) => NodeId): ExportedNode | undefined {
  const none = {};
  switch (node.op) {
    case "input":
      return { op: node.op, name: node.name, tensors: none };
    case "conv":
    case "rbconv":
    case "qconv": {
      const { name, out, kernel, stride, padding } = node;
      const fields = { name, input: place(node.input), out, kernel, stride, padding };
      const grouped = node.groups === undefined || node.groups === 1 ? {} : { groups: node.groups };
      const weight = parameterName(node, "weight");
      if (node.op === "conv") return { op: node.op, ...fields, ...grouped, tensors: { weight } };
      const c = parameterName(node, "c");
      if (node.op === "rbconv") return { op: node.op, ...fields, ...grouped, tensors: { signs: signsName(weight), c } };
      const { weight: form } = node;
      const planes = signsName(parameterName(node, "planes"));
      return { op: node.op, ...fields, weight: form, tensors: form.kind === "float" ? { weight } : { planes, c } };
    }
    case "quantise": {
      const { op, name, rule } = node;
      const bases = { shift: parameterName(node, "shift"), scale: parameterName(node, "scale") };
      const tensors = rule.kind === "bases" ? bases : none;
      return { op, name, input: place(node.input), rule: exportedRule(rule), tensors };
    }
    case "gamma": {
      const tensors = Object.fromEntries(node.axes.map((axis) => [axis, gammaParameter(node, axis)]));
      return { op: node.op, name: node.name, input: place(node.input), tensors };
    }
    case "inputscale": {
      const { op, kernel, stride, padding } = node;
      return { op, input: place(node.input), other: place(node.other), kernel, stride, padding, tensors: none };
    }
    case "gradientbits":
      return undefined;
    case "batchnorm": {
      const named = (tensor: string) => parameterName(node, tensor);
      return {
        op: node.op,
        name: node.name,
        input: place(node.input),
        epsilon: node.epsilon ?? NORM_EPSILON,
        tensors: {
          weight: named("weight"),
          bias: named("bias"),
          mean: named("running_mean"),
          variance: named("running_var"),
        },
      };
    }
    case "activation": {
      const { op, name, kind } = node;
      const tensors = kind === "prelu" ? { weight: parameterName(node, "weight") } : none;
      return { op, name, kind, input: place(node.input), tensors };
    }
    case "pool": {
      const { op, kind, kernel, stride, padding } = node;
      return { op, kind, input: place(node.input), kernel, stride, padding, tensors: none };
    }
    case "globalpool":
      return { op: node.op, input: place(node.input), tensors: none };
    case "linear": {
      const tensors = { weight: parameterName(node, "weight"), bias: parameterName(node, "bias") };
      return { op: node.op, name: node.name, input: place(node.input), out: node.out, tensors };
    }
    case "add":
      return { op: node.op, input: place(node.input), other: place(node.other), tensors: none };
    case "xcorr":
      throw new RangeError("a response of two inputs has no place in a file of one picture");
    default:
      return node satisfies never;
  }
}

/** The parameters behind a node's tensors, by their names in the file. */
function sourcesOf(node: GraphNode, exported: ExportedNode): (readonly [string, Source])[] {
  const companion = (name: string) =>
    "companions" in node ? node.companions.find((one) => one.name === name)?.shape : undefined;
  return Object.entries(exported.tensors as Readonly<Record<string, string>>).map(([role, name]) => {
    switch (role) {
      case "signs":
        return [name, { parameter: parameterName(node as never, "weight") }];
      case "planes":
        return [name, { parameter: parameterName(node as never, "planes") }];
      case "c": {
        const shape = companion("c");
        return [name, { parameter: name, ...(shape && { shape }) }];
      }
      default:
        return [name, { parameter: name }];
    }
  });
}

/** What inference needs of a graph. @throws RangeError for one whose output is not computed from anything */
export function exportedGraph(graph: Graph): ExportedNetwork {
  const places: NodeId[] = [];
  const nodes: ExportedNode[] = [];
  const sources = new Map<string, Source>();
  for (const node of graph.nodes) {
    const exported = exportedNode(node, (id) => places[id]!);
    if (exported === undefined) {
      places.push(places[inputsOf(node)[0]!]!);
      continue;
    }
    places.push(nodes.length);
    nodes.push(exported);
    for (const [name, source] of sourcesOf(node, exported)) sources.set(name, source);
  }
  return { nodes, output: places[graph.output]!, sources };
}

/** [out][kh][kw][in] → [out][in][kh][kw]; other ranks stay. */
function fileShape(shape: readonly number[]): readonly number[] {
  if (shape.length !== 4) return shape;
  const [o, h, w, i] = shape as Shape4;
  return [o, i, h, w];
}

/** The tensors of a file, in its order. */
export function exportedTensors(graph: Graph, valuesOf: ValuesOf): (readonly [string, SafeTensor])[] {
  const { nodes, sources } = exportedGraph(graph);
  // Nodes that are left out change no shape, so that a node's input has the shape of the map that it had in training.
  const kept = graph.nodes.flatMap((node, id) => (node.op === "gradientbits" ? [] : [id]));
  const given = (name: string) => {
    const shape = sources.get(name)?.shape;
    return shape && fileShape(shape);
  };
  const tensors = new Map<string, SafeTensor>();
  nodes.forEach((node, place) => {
    const [input = kept[place]!] = inputsOf(graph.nodes[kept[place]!]!);
    const wanted = tensorShapes(node, graph.shapes[input]!, given);
    for (const [role, { dtype, shape }] of Object.entries(wanted)) {
      const name = (node.tensors as Readonly<Record<string, string>>)[role]!;
      if (tensors.has(name)) continue;
      const values = valuesOf(sources.get(name)!.parameter);
      if (dtype === "F32") {
        const inOrder = shape.length === 4 ? toOihw(values, shape as unknown as Shape4) : values;
        tensors.set(name, tensorOf(inOrder, shape));
        continue;
      }
      const channels = seenChannels(graph.nodes[kept[place]!] as ConvolutionFields, graph.shapes[input]!.c);
      const planes = packSignPlanes(values, values.length / channels, channels);
      tensors.set(name, tensorOf(new Uint8Array(planes.buffer), shape));
    }
  });
  return [...tensors];
}

/** The file's bytes; equal networks give equal files. @throws RangeError for parameters that are not there */
export function writeExported(graph: Graph, valuesOf: ValuesOf, description: Description): Uint8Array<ArrayBuffer> {
  const { nodes, output } = exportedGraph(graph);
  const tensors = exportedTensors(graph, valuesOf);
  return writeSafetensors(tensors, {
    checksum: tensorsChecksum(tensors.map(([, tensor]) => tensor)),
    format: EXPORT_FORMAT,
    formatVersion: String(EXPORT_VERSION),
    howToRead: JSON.stringify(howToRead(nodes, description.tracking !== undefined)),
    model: JSON.stringify({ ...description, nodes, output }),
  });
}
