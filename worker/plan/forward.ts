// Records a network's forward pass. Training uses the batch's own statistics, evaluation the running ones.

import { activationForward, preluForward } from "../../kernels/layers/activation.ts";
import { add } from "../../kernels/layers/elementwise.ts";
import { packSigns } from "../../kernels/layers/pack-signs.ts";
import { globalAveragePoolForward, poolForward } from "../../kernels/layers/pool.ts";
import { type Graph, type GraphNode, inputsOf, type NodeId, parameterName } from "../../shared/model/graph.ts";
import { signWords } from "../../shared/model/window.ts";
import { consumersOf, type Fusion, fuseNormalisations, type NormGroup } from "./fusion.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { type NetworkBuffers, sampleSize, windowOf } from "./network-buffers.ts";
import { mapShape, recordNorm, recordNormalise } from "./norm-group.ts";

/** What backward needs of a forward pass. */
export interface ForwardTrace {
  readonly fusion: Fusion;
  /** Output of each node that has one in memory, f32 [n][h][w][c]. */
  readonly values: readonly (Ref | undefined)[];
  /** Sign planes of each output that a binary layer reads, u32 [n][h][w][words]. */
  readonly signs: ReadonlyMap<NodeId, Ref>;
  /** Norm of each batch norm, f32 [4][channels]. */
  readonly norms: ReadonlyMap<NodeId, Ref>;
}

/** The output of a node that has one. */
export function outputOf(trace: Pick<ForwardTrace, "values">, id: NodeId): Ref {
  const value = trace.values[id];
  if (!value) throw new RangeError(`node ${id}: its output is not in memory`);
  return value;
}

/** What an output is wanted for. */
interface Wanted {
  /** By somebody who reads its values. */
  readonly values: boolean;
  /** By a binary layer, which reads its signs. */
  readonly signs: boolean;
}

export interface ForwardOptions {
  /** Tensors f32 [n][c] that receive the mean over positions of these nodes' outputs. */
  readonly pooled?: ReadonlyMap<NodeId, Ref>;
  /** Somebody reads the network's output, and not those means alone. True unless given. */
  readonly output?: boolean;
}

/** Nodes that what is read depends on. */
function usedNodes(graph: Graph, pooled: ReadonlyMap<NodeId, Ref>, output: boolean): readonly boolean[] {
  const used = graph.nodes.map((_, id) => pooled.has(id) || (output && id === graph.output));
  for (let id = used.length - 1; id >= 0; id--) {
    if (used[id]) for (const input of inputsOf(graph.nodes[id])) used[input] = true;
  }
  return used;
}

/** A binary layer alone wants values only for its surrogate, so in training. */
function wantedOutputs(
  graph: Graph,
  trains: boolean,
  used: readonly boolean[],
  pooled: ReadonlyMap<NodeId, Ref>,
): readonly Wanted[] {
  const consumers = consumersOf(graph);
  return graph.nodes.map((node, id) => {
    const readers = consumers[id].filter((consumer) => used[consumer]);
    const binary = readers.filter((consumer) => graph.nodes[consumer].op === "rbconv").length;
    const read = readers.length > binary || id === graph.output || (pooled.has(id) && node.op !== "batchnorm");
    return { values: used[id] && (read || trains), signs: binary > 0 };
  });
}

/** y = the binary convolution `id` of sign planes. */
export function recordBinaryConvolution(
  list: LaunchList,
  graph: Graph,
  n: number,
  id: NodeId,
  net: NetworkBuffers,
  a: Ref,
  y: Ref,
): void {
  const node = graph.nodes[id];
  if (node.op !== "rbconv") throw new RangeError(`node ${id} is no binary layer but ${node.op}`);
  list.convolve(
    { verb: "binaryConvForward", shape: windowOf(graph, id, node, n), rectify: node.rectify },
    { a, w: net.parameter(parameterName(node, "weight")), c: net.parameter(parameterName(node, "c")), y },
  );
}

/** @param inputs the network's inputs, f32 [n][h][w][c] each */
export function recordForward(
  list: LaunchList,
  graph: Graph,
  n: number,
  inputs: (name: string) => Ref,
  net: NetworkBuffers,
  { pooled = new Map(), output = true }: ForwardOptions = {},
): ForwardTrace {
  const fusion = fuseNormalisations(graph);
  const used = usedNodes(graph, pooled, output);
  const wanted = wantedOutputs(graph, net.statistic !== undefined, used, pooled);
  const values: (Ref | undefined)[] = [];
  const signs = new Map<NodeId, Ref>();
  const norms = new Map<NodeId, Ref>();
  const value = (id: NodeId) => outputOf({ values }, id);
  const signTensor = (id: NodeId): Ref => {
    const { h, w, c } = graph.shapes[id];
    const bits = list.tensor(n * h * w * signWords(c));
    signs.set(id, bits);
    return bits;
  };
  const signsOf = (id: NodeId): Ref => {
    const known = signs.get(id);
    if (known) return known;
    const { h, w, c } = graph.shapes[id];
    const bits = signTensor(id);
    list.run(packSigns({ rows: n * h * w, channels: c, how: list.packing }), { x: value(id), bits });
    return bits;
  };

  const recordGroup = (group: NormGroup): Ref | undefined => {
    const { node, last } = group;
    const shape = mapShape(graph, last, n);
    const x = value(node.input);
    const norm = recordNorm(list, graph, shape, group, net, x, pooled.get(group.norm));
    norms.set(group.norm, norm);
    const y = wanted[last].values ? list.tensor(n * sampleSize(graph.shapes[last])) : undefined;
    const bits = wanted[last].signs ? signTensor(last) : undefined;
    if (!y && !bits) return undefined;
    const shortcut = group.shortcut === undefined ? undefined : value(group.shortcut);
    recordNormalise(
      list,
      shape,
      group,
      net,
      { x, norm, ...(shortcut && { shortcut }) },
      { ...(y && { y }), ...(bits && { bits }) },
    );
    return y;
  };

  const record = (node: GraphNode, id: NodeId): Ref | undefined => {
    if (node.op === "input") return inputs(node.name);
    const group = fusion.groups.get(id);
    if (group) return recordGroup(group);
    if (fusion.interior.has(id)) return undefined;
    const shape = graph.shapes[id];
    const y = list.tensor(n * sampleSize(shape));
    const channels = shape.c;
    const rows = n * shape.h * shape.w;
    switch (node.op) {
      case "conv":
      case "linear": {
        const bias = node.op === "linear";
        list.convolve(
          { verb: "convForward", shape: windowOf(graph, id, node, n), bias },
          {
            x: value(node.input),
            w: net.parameter(parameterName(node, "weight")),
            ...(bias && { bias: net.parameter(parameterName(node, "bias")) }),
            y,
          },
        );
        return y;
      }
      case "rbconv":
        recordBinaryConvolution(list, graph, n, id, net, signsOf(node.input), y);
        return y;
      case "batchnorm":
        throw new RangeError(`${node.name}: a batch norm without a group`);
      case "activation": {
        const x = value(node.input);
        if (node.kind === "prelu") {
          list.run(preluForward({ rows, channels }), { x, weight: net.parameter(parameterName(node, "weight")), y });
        } else {
          list.run(activationForward({ kind: node.kind, size: rows * channels }), { x, y });
        }
        return y;
      }
      case "pool":
        list.run(poolForward({ shape: windowOf(graph, id, node, n), kind: node.kind }), { x: value(node.input), y });
        return y;
      case "globalpool":
        list.run(globalAveragePoolForward(mapShape(graph, node.input, n)), { x: value(node.input), y });
        return y;
      case "add":
        list.run(add({ size: rows * channels }), { a: value(node.input), b: value(node.other), y });
        return y;
      default:
        return node satisfies never;
    }
  };
  graph.nodes.forEach((node, id) => {
    const isUsed = used[fusion.groups.get(id)?.norm ?? id];
    values.push(isUsed ? record(node, id) : undefined);
    const mean = node.op === "batchnorm" ? undefined : pooled.get(id);
    if (mean) list.run(globalAveragePoolForward(mapShape(graph, id, n)), { x: value(id), y: mean });
  });
  return { fusion, values, signs, norms };
}
