// Records a network's forward pass. Training uses the batch's own statistics, evaluation the running ones.

import { activationForward, preluForward } from "../../kernels/layers/activation.ts";
import { add } from "../../kernels/layers/elementwise.ts";
import { inputScale, scalePositions } from "../../kernels/layers/input-scale.ts";
import { packSigns } from "../../kernels/layers/pack-signs.ts";
import { globalAveragePoolForward, poolForward } from "../../kernels/layers/pool.ts";
import { type Graph, type GraphNode, inputsOf, type NodeId, parameterName } from "../../shared/model/graph.ts";
import { signWords } from "../../shared/model/window.ts";
import { consumersOf, type Fusion, fuseNormalisations, type NormGroup } from "./fusion.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { correlationOf, type NetworkBuffers, sampleSize, windowOf } from "./network-buffers.ts";
import { mapShape, recordNorm, recordNormalise } from "./norm-group.ts";
import { planesTensor, readsPlanes, recordGamma, recordQuantise, recordQuantisedConvolution } from "./quantised.ts";

/** What backward needs of a forward pass. */
export interface ForwardTrace {
  readonly fusion: Fusion;
  /** Output of each node that has one in memory, f32 [n][h][w][c]. */
  readonly values: readonly (Ref | undefined)[];
  /** Sign planes of an output that a binary layer of so many groups reads, u32 [n][h][w][group][words]. */
  readonly signs: (id: NodeId, groups: number) => Ref;
  /** Planes of each quantised map that a convolution counts bits of, u32 [planes][n][h][w][words]. */
  readonly planes: ReadonlyMap<NodeId, Ref>;
  /** K of each input scale, f32 [n][h][w]. */
  readonly scales: ReadonlyMap<NodeId, Ref>;
  /** Norm of each batch norm, f32 [4][channels]. */
  readonly norms: ReadonlyMap<NodeId, Ref>;
}

/** The output of a node that has one. */
export function outputOf(trace: Pick<ForwardTrace, "values">, id: NodeId): Ref {
  const value = trace.values[id];
  if (!value) throw new RangeError(`node ${id}: its output is not in memory`);
  return value;
}

/** What forward made of a node. */
export function mapOf(made: ReadonlyMap<NodeId, Ref>, id: NodeId): Ref {
  const found = made.get(id);
  if (!found) throw new RangeError(`node ${id}: forward made nothing of the kind of it`);
  return found;
}

/** What an output is wanted for. */
interface Wanted {
  /** By somebody who reads its values. */
  readonly values: boolean;
  /** By binary layers, which read its signs: the numbers of groups that they are packed by, each once. */
  readonly signs: readonly number[];
  /** By a layer that counts bits of its planes. */
  readonly planes: boolean;
}

export interface ForwardOptions {
  /** Tensors f32 [n][c] that receive the mean over positions of these nodes' outputs. */
  readonly pooled?: ReadonlyMap<NodeId, Ref>;
  /** Somebody reads the network's output, and not those means alone. True unless given. */
  readonly output?: boolean;
  /** Nodes whose outputs somebody beside the network reads, too. */
  readonly maps?: ReadonlySet<NodeId>;
}

/** Nodes that what is read depends on. */
function usedNodes(
  graph: Graph,
  pooled: ReadonlyMap<NodeId, Ref>,
  output: boolean,
  maps: ReadonlySet<NodeId>,
): readonly boolean[] {
  const used = graph.nodes.map((_, id) => pooled.has(id) || maps.has(id) || (output && id === graph.output));
  for (let id = used.length - 1; id >= 0; id--) {
    if (used[id]) for (const input of inputsOf(graph.nodes[id])) used[input] = true;
  }
  return used;
}

/**
 * A binary layer alone wants values only for its surrogate, so in training. Those of a quantised map backward makes
 * again, whose planes are all that a layer of planes wants.
 */
function wantedOutputs(
  graph: Graph,
  trains: boolean,
  used: readonly boolean[],
  pooled: ReadonlyMap<NodeId, Ref>,
  maps: ReadonlySet<NodeId>,
): readonly Wanted[] {
  const consumers = consumersOf(graph);
  return graph.nodes.map((node, id) => {
    const readers = consumers[id].filter((consumer) => used[consumer]).map((consumer) => graph.nodes[consumer]);
    const signs = [...new Set(readers.flatMap((reader) => (reader.op === "rbconv" ? [reader.groups ?? 1] : [])))];
    const planes = readers.some((reader) => readsPlanes(graph, reader));
    const floats = readers.some((reader) => reader.op !== "rbconv" && !readsPlanes(graph, reader));
    const beside = maps.has(id) || (pooled.has(id) && node.op !== "batchnorm");
    // Packing goes with what makes the values; a second one reads them.
    const read = floats || id === graph.output || beside || signs.length > 1;
    const kept = trains && node.op !== "quantise";
    return { values: used[id] && (read || kept || (signs.length > 0 && node.op === "quantise")), signs, planes };
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
  { pooled = new Map(), output = true, maps = new Set() }: ForwardOptions = {},
): ForwardTrace {
  const fusion = fuseNormalisations(graph, maps);
  const used = usedNodes(graph, pooled, output, maps);
  const wanted = wantedOutputs(graph, net.statistic !== undefined, used, pooled, maps);
  const values: (Ref | undefined)[] = [];
  const signs = new Map<string, Ref>();
  const planes = new Map<NodeId, Ref>();
  const scales = new Map<NodeId, Ref>();
  const norms = new Map<NodeId, Ref>();
  const value = (id: NodeId) => outputOf({ values }, id);
  const signTensor = (id: NodeId, groups: number): Ref => {
    const { h, w, c } = graph.shapes[id];
    const bits = list.tensor(n * h * w * groups * signWords(c / groups));
    signs.set(`${id}/${groups}`, bits);
    return bits;
  };
  const signsOf = (id: NodeId, groups = 1): Ref => {
    const known = signs.get(`${id}/${groups}`);
    if (known) return known;
    const { h, w, c } = graph.shapes[id];
    const bits = signTensor(id, groups);
    const kernel = packSigns({ rows: n * h * w * groups, channels: c / groups, how: list.packing });
    list.run(kernel, { x: value(id), bits });
    return bits;
  };

  const recordGroup = (group: NormGroup): Ref | undefined => {
    const { node, last } = group;
    const shape = mapShape(graph, last, n);
    const x = value(node.input);
    const norm = recordNorm(list, graph, shape, group, net, x, pooled.get(group.norm));
    norms.set(group.norm, norm);
    const y = wanted[last].values ? list.tensor(n * sampleSize(graph.shapes[last])) : undefined;
    const [groups] = wanted[last].signs;
    const bits = groups === undefined ? undefined : signTensor(last, groups);
    if (!y && !bits) return undefined;
    const shortcut = group.shortcut === undefined ? undefined : value(group.shortcut);
    recordNormalise(
      list,
      shape,
      group,
      net,
      { x, norm, ...(shortcut && { shortcut }) },
      { ...(y && { y }), ...(bits && { bits, groups }) },
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
        recordBinaryConvolution(list, graph, n, id, net, signsOf(node.input, node.groups), y);
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
      case "xcorr":
        list.convolve(correlationOf(graph, node, n, "xcorrForward"), {
          x: value(node.search),
          z: value(node.exemplar),
          y,
        });
        return y;
      case "qconv": {
        const input = readsPlanes(graph, node) ? mapOf(planes, node.input) : value(node.input);
        recordQuantisedConvolution(list, graph, n, id, node, net, input, y);
        return y;
      }
      case "quantise": {
        const bits = wanted[id].planes ? planesTensor(list, graph, n, id, node) : undefined;
        if (bits) planes.set(id, bits);
        const stored = wanted[id].values ? { y } : {};
        recordQuantise(list, graph, n, id, node, net, value(node.input), { ...stored, ...(bits && { bits }) });
        return stored.y;
      }
      case "gamma":
        recordGamma(list, graph, n, id, node, net, value(node.input), y);
        return y;
      case "inputscale": {
        const k = list.tensor(rows);
        scales.set(id, k);
        list.run(inputScale(windowOf(graph, id, node, n)), { x: value(node.other), k });
        list.run(scalePositions({ positions: rows, channels, accumulate: false }), { x: value(node.input), k, y });
        return y;
      }
      case "gradientbits":
        return value(node.input);
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
  return {
    fusion,
    values,
    signs: (id, groups) => {
      const found = signs.get(`${id}/${groups}`);
      if (!found) throw new RangeError(`node ${id}: forward packed no signs of it in ${groups} groups`);
      return found;
    },
    planes,
    scales,
    norms,
  };
}
