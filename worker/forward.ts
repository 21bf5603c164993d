// Records a network's forward pass. Training uses the batch's own statistics, evaluation the running ones.

import { activationForward, preluForward } from "../kernels/activation.ts";
import { batchNormEval, batchNormForward } from "../kernels/batch-norm.ts";
import { copy } from "../kernels/copy.ts";
import { add } from "../kernels/elementwise.ts";
import { packSigns } from "../kernels/pack-signs.ts";
import { globalAveragePoolForward, poolForward } from "../kernels/pool.ts";
import type { Graph, GraphNode, NodeId, Shape } from "../shared/graph.ts";
import { signWords, type WindowShape } from "../shared/window.ts";
import type { LaunchList, Ref } from "./launch-list.ts";

/** PyTorch's default epsilon of batch normalisation. */
export const BATCH_NORM_EPS = 1e-5;

/** Where a network's parameters and batch statistics are. */
export interface NetworkBuffers {
  readonly parameter: (name: string) => Ref;
  /** Arena range for a batch statistic, or undefined in evaluation mode. */
  readonly statistic?: (name: string) => Ref;
}

/** What backward needs of a forward pass. */
export interface ForwardTrace {
  /** Each node's output, f32 [n][h][w][c]. */
  readonly values: readonly Ref[];
  /** Sign planes of each rbconv's input, u32 [n][h][w][words]. */
  readonly signs: ReadonlyMap<NodeId, Ref>;
  /** Batch mean and 1/√(variance + eps) of each batch norm. */
  readonly moments: ReadonlyMap<NodeId, { readonly mean: Ref; readonly invstd: Ref }>;
}

export function sampleSize({ h, w, c }: Shape): number {
  return h * w * c;
}

/** Window of a convolution or pooling node over a microbatch of n. */
export function windowOf(
  graph: Graph,
  id: NodeId,
  node: Extract<GraphNode, { op: "conv" | "rbconv" | "pool" | "linear" }>,
  n: number,
): WindowShape {
  const { h, w, c } = graph.shapes[node.input];
  const out = graph.shapes[id].c;
  if (node.op === "linear") return { n, h, w, in: c, out, kernel: 1, stride: 1, padding: 0 };
  return { n, h, w, in: c, out, kernel: node.kernel, stride: node.stride, padding: node.padding };
}

export function recordForward(
  list: LaunchList,
  graph: Graph,
  n: number,
  images: Ref,
  net: NetworkBuffers,
): ForwardTrace {
  const values: Ref[] = [];
  const signs = new Map<NodeId, Ref>();
  const moments = new Map<NodeId, { mean: Ref; invstd: Ref }>();

  const record = (node: GraphNode, id: NodeId): Ref => {
    if (node.op === "input") return images;
    const x = values[node.input];
    const shape = graph.shapes[id];
    const y = list.tensor(n * sampleSize(shape));
    const channels = shape.c;
    const rows = n * shape.h * shape.w;
    switch (node.op) {
      case "conv":
        list.convolve(
          { verb: "convForward", shape: windowOf(graph, id, node, n), bias: false },
          {
            x,
            w: net.parameter(`${node.name}.weight`),
            y,
          },
        );
        return y;
      case "linear":
        list.convolve(
          { verb: "convForward", shape: windowOf(graph, id, node, n), bias: true },
          {
            x,
            w: net.parameter(`${node.name}.weight`),
            bias: net.parameter(`${node.name}.bias`),
            y,
          },
        );
        return y;
      case "rbconv": {
        const window = windowOf(graph, id, node, n);
        const positions = n * window.h * window.w;
        const a = list.tensor(positions * signWords(window.in));
        list.run(packSigns({ rows: positions, channels: window.in }), { x, bits: a });
        signs.set(id, a);
        list.convolve(
          { verb: "binaryConvForward", shape: window, rectify: node.rectify },
          {
            a,
            w: net.parameter(`${node.name}.weight`),
            c: net.parameter(`${node.name}.c`),
            y,
          },
        );
        return y;
      }
      case "batchnorm": {
        const weight = net.parameter(`${node.name}.weight`);
        const bias = net.parameter(`${node.name}.bias`);
        if (!net.statistic) {
          list.run(batchNormEval({ rows, channels, eps: BATCH_NORM_EPS }), {
            x,
            weight,
            bias,
            runningMean: net.parameter(`${node.name}.running_mean`),
            runningVar: net.parameter(`${node.name}.running_var`),
            y,
          });
          return y;
        }
        const mean = list.tensor(channels);
        const invstd = list.tensor(channels);
        const variance = net.statistic(`${node.name}.running_var`);
        list.run(batchNormForward({ rows, channels, eps: BATCH_NORM_EPS }), {
          x,
          weight,
          bias,
          y,
          mean,
          invstd,
          variance,
        });
        // Backward reads the mean while it writes to the arena, and one buffer cannot be both in a dispatch: so a copy.
        list.run(copy({ size: channels }), { x: mean, y: net.statistic(`${node.name}.running_mean`) });
        moments.set(id, { mean, invstd });
        return y;
      }
      case "activation":
        if (node.kind === "prelu") {
          list.run(preluForward({ rows, channels }), { x, weight: net.parameter(`${node.name}.weight`), y });
        } else {
          list.run(activationForward({ kind: node.kind, size: rows * channels }), { x, y });
        }
        return y;
      case "pool":
        list.run(poolForward({ shape: windowOf(graph, id, node, n), kind: node.kind }), { x, y });
        return y;
      case "globalpool": {
        const { h, w } = graph.shapes[node.input];
        list.run(globalAveragePoolForward({ n, positions: h * w, channels }), { x, y });
        return y;
      }
      case "add":
        list.run(add({ size: rows * channels }), { a: x, b: values[node.other], y });
        return y;
      default:
        return node satisfies never;
    }
  };
  graph.nodes.forEach((node, id) => {
    values.push(record(node, id));
  });
  return { values, signs, moments };
}
