// Records a network's backward pass: from gradients of some nodes' outputs to gradients of its trained parameters.

import { activationBackward, preluBackward } from "../kernels/activation.ts";
import { batchNormBackward } from "../kernels/batch-norm.ts";
import { columnSum } from "../kernels/conv.ts";
import { globalAveragePoolBackward, poolBackward } from "../kernels/pool.ts";
import type { Graph, GraphNode, NodeId } from "../shared/graph.ts";
import { inputsOf } from "../shared/graph.ts";
import type { ForwardTrace, NetworkBuffers } from "./forward.ts";
import { sampleSize, windowOf } from "./forward.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import type { NodeGradients } from "./node-gradients.ts";

export interface BackwardOptions {
  /** Arena range for a parameter's gradient, or undefined where the parameter is frozen. */
  readonly gradient: (name: string) => Ref | undefined;
  /** Wants ∂L/∂images too. */
  readonly inputGradient: boolean;
}

function parameterNames(node: GraphNode): readonly string[] {
  switch (node.op) {
    case "conv":
    case "rbconv":
      return [`${node.name}.weight`];
    case "batchnorm":
    case "linear":
      return [`${node.name}.weight`, `${node.name}.bias`];
    case "activation":
      return node.kind === "prelu" ? [`${node.name}.weight`] : [];
    case "input":
    case "pool":
    case "globalpool":
    case "add":
      return [];
    default:
      return node satisfies never;
  }
}

/** Nodes whose gradient somebody before them needs. */
function nodesToReach(graph: Graph, options: BackwardOptions): readonly boolean[] {
  const needed: boolean[] = [];
  graph.nodes.forEach((node, id) => {
    const trained = parameterNames(node).some((name) => options.gradient(name) !== undefined);
    needed[id] = (node.op === "input" && options.inputGradient) || trained || inputsOf(node).some((i) => needed[i]);
  });
  return needed;
}

/** @param gradients holds the seeds: ∂L/∂output of the nodes that the loss looks at */
export function recordBackward(
  list: LaunchList,
  graph: Graph,
  n: number,
  net: NetworkBuffers,
  trace: ForwardTrace,
  gradients: NodeGradients,
  options: BackwardOptions,
): void {
  const needed = nodesToReach(graph, options);
  /** A gradient that a kernel always writes, even where nobody trains the parameter. */
  const gradientOrScratch = (name: string, elements: number): Ref => options.gradient(name) ?? list.tensor(elements);

  const record = (node: GraphNode, id: NodeId, dy: Ref): void => {
    if (node.op === "input") return;
    const x = trace.values[node.input];
    const shape = graph.shapes[id];
    const channels = shape.c;
    const rows = n * shape.h * shape.w;
    const reach = needed[node.input];
    switch (node.op) {
      case "conv":
      case "linear": {
        const window = windowOf(graph, id, node, n);
        const dw = options.gradient(`${node.name}.weight`);
        if (dw) list.convolve({ verb: "convWeightGradient", shape: window }, { dy, x, dw });
        const db = node.op === "linear" ? options.gradient(`${node.name}.bias`) : undefined;
        if (db) list.run(columnSum({ rows, channels }), { x: dy, sum: db });
        if (reach) {
          gradients.contribute(node.input, (dx, accumulate) => {
            const w = net.parameter(`${node.name}.weight`);
            list.convolve({ verb: "convInputGradient", shape: window, accumulate }, { dy, w, dx });
          });
        }
        return;
      }
      case "rbconv": {
        const window = windowOf(graph, id, node, n);
        const a = trace.signs.get(id);
        if (!a) throw new RangeError(`${node.name}: forward kept no sign planes`);
        const dw = options.gradient(`${node.name}.weight`);
        if (dw) list.convolve({ verb: "binaryConvWeightGradient", shape: window }, { dy, a, dw });
        if (reach) {
          gradients.contribute(node.input, (dx, accumulate) => {
            const { rectify, surrogate } = node;
            list.convolve(
              { verb: "binaryConvInputGradient", shape: window, rectify, surrogate, accumulate },
              {
                dy,
                w: net.parameter(`${node.name}.weight`),
                c: net.parameter(`${node.name}.c`),
                x,
                dx,
              },
            );
          });
        }
        return;
      }
      case "batchnorm": {
        const moments = trace.moments.get(id);
        if (!moments) throw new RangeError(`${node.name}: backward wants the batch's own statistics`);
        const weight = net.parameter(`${node.name}.weight`);
        const dweight = gradientOrScratch(`${node.name}.weight`, channels);
        const dbias = gradientOrScratch(`${node.name}.bias`, channels);
        gradients.contribute(node.input, (dx, accumulate) => {
          list.run(batchNormBackward({ rows, channels, accumulate }), {
            dy,
            x,
            weight,
            ...moments,
            dx,
            dweight,
            dbias,
          });
        });
        return;
      }
      case "activation":
        if (node.kind === "prelu") {
          const dweight = gradientOrScratch(`${node.name}.weight`, channels);
          const weight = net.parameter(`${node.name}.weight`);
          gradients.contribute(node.input, (dx, accumulate) => {
            list.run(preluBackward({ rows, channels, accumulate }), { dy, x, weight, dx, dweight });
          });
        } else {
          const { kind } = node;
          gradients.contribute(node.input, (dx, accumulate) => {
            list.run(activationBackward({ kind, size: rows * channels, accumulate }), { dy, x, dx });
          });
        }
        return;
      case "pool": {
        const window = windowOf(graph, id, node, n);
        const { kind } = node;
        gradients.contribute(node.input, (dx, accumulate) => {
          const verb = poolBackward({ shape: window, kind, accumulate });
          list.run(verb, kind === "max" ? { dy, x, dx } : { dy, dx });
        });
        return;
      }
      case "globalpool": {
        const { h, w } = graph.shapes[node.input];
        gradients.contribute(node.input, (dx, accumulate) => {
          list.run(globalAveragePoolBackward({ n, positions: h * w, channels, accumulate }), { dy, dx });
        });
        return;
      }
      case "add":
        if (reach) gradients.add(node.input, dy);
        if (needed[node.other]) gradients.add(node.other, dy);
        return;
      default:
        node satisfies never;
    }
  };

  for (let id = graph.nodes.length - 1; id > 0; id--) {
    const dy = gradients.get(id);
    if (dy && needed[id]) record(graph.nodes[id], id, dy);
    gradients.release(id);
  }
}

/** Elements of a node's output over a microbatch. */
export function outputElements(graph: Graph, n: number): (node: NodeId) => number {
  return (node) => n * sampleSize(graph.shapes[node]);
}
