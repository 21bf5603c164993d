// Records a network's backward pass: from gradients of some nodes' outputs to gradients of its trained parameters.

import type { CorrelationPass } from "../../kernels/convolution/pass/correlation.ts";
import { columnSum } from "../../kernels/convolution/registers/conv.ts";
import { activationBackward, preluBackward } from "../../kernels/layers/activation.ts";
import { globalAveragePoolBackward, poolBackward } from "../../kernels/layers/pool.ts";
import {
  type Graph,
  type GraphNode,
  gammaParameter,
  inputsOf,
  type NodeId,
  parameterName,
} from "../../shared/model/graph.ts";
import type { ForwardTrace } from "./forward.ts";
import { consumersOf, type NormGroup } from "./fusion.ts";
import { KeptValues, type MemoryMode } from "./kept-values.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { type CorrelationNode, correlationOf, type NetworkBuffers, windowOf } from "./network-buffers.ts";
import type { NodeGradients } from "./node-gradients.ts";
import { mapShape, recordNormBackward } from "./norm-group.ts";
import { ParameterGradients } from "./parameter-gradients.ts";
import { recordQuantisedBackward } from "./quantised-backward.ts";

export interface BackwardOptions {
  /** Arena range for a parameter's gradient, or undefined where the parameter is frozen. */
  readonly gradient: (name: string) => Ref | undefined;
  /** Wants ∂L/∂inputs too. */
  readonly inputGradient: boolean;
  /** ∂L/∂(mean over positions) of compared maps, f32 [n][c]. */
  readonly dPooled?: ReadonlyMap<NodeId, Ref>;
  /** Everything that backward reads is kept unless given. */
  readonly memory?: MemoryMode;
}

function parameterNames(node: GraphNode): readonly string[] {
  switch (node.op) {
    case "conv":
    case "rbconv":
    case "qconv":
      return [parameterName(node, "weight")];
    case "quantise":
      return node.rule.kind === "bases" ? [parameterName(node, "shift"), parameterName(node, "scale")] : [];
    case "gamma":
      return node.axes.map((axis) => gammaParameter(node, axis));
    case "batchnorm":
    case "linear":
      return [parameterName(node, "weight"), parameterName(node, "bias")];
    case "activation":
      return node.kind === "prelu" ? [parameterName(node, "weight")] : [];
    case "input":
    case "pool":
    case "globalpool":
    case "add":
    case "xcorr":
    case "inputscale":
    case "gradientbits":
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
    // Nothing goes back through what an output is scaled by.
    const inputs = node.op === "inputscale" ? [node.input] : inputsOf(node);
    needed[id] = (node.op === "input" && options.inputGradient) || trained || inputs.some((i) => needed[i]);
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
  const consumers = consumersOf(graph);
  const kept = new KeptValues(list, graph, n, net, trace, options.memory ?? "keep");
  const parameters = new ParameterGradients(list, options.gradient);
  /** A node whose gradient alone is changed has its input's tensor, and its input's other readers. */
  const isReadOnce = (id: NodeId): boolean => {
    const node = graph.nodes[id];
    return consumers[id].length === 1 && (node.op !== "gradientbits" || isReadOnce(node.input));
  };

  const recordGroup = (group: NormGroup): void => {
    const { node, norm, shortcut, activation, last } = group;
    // With an activation the first pass turns dy into the shortcut's gradient where it stands.
    const dy = activation ? gradients.own(last) : gradients.get(last);
    const dPooled = options.dPooled?.get(norm);
    if (!dy) {
      if (dPooled) throw new RangeError(`${node.name}: a compared map that the output does not depend on`);
      return;
    }
    const added = shortcut !== undefined && activation ? kept.value(shortcut) : undefined;
    const x = kept.value(node.input);
    const secondPass = recordNormBackward(
      list,
      mapShape(graph, last, n),
      group,
      net,
      { dy, x, norm: kept.norm(norm), ...(added && { shortcut: added }), ...(dPooled && { dPooled }) },
      (name, elements) => parameters.targetOrScratch(name, elements),
    );
    if (needed[node.input]) {
      // Nobody reads x after its only consumer, so its gradient takes its place.
      if (isReadOnce(node.input) && x.kind === "transient") {
        secondPass();
        gradients.add(node.input, x);
      } else {
        gradients.contribute(node.input, (dx, accumulate) => secondPass({ dx, accumulate }));
      }
    }
    gradients.release(last);
    if (shortcut !== undefined && needed[shortcut]) gradients.add(shortcut, dy);
  };

  const recordCorrelationBackward = (node: CorrelationNode, dy: Ref): void => {
    const pass = (verb: CorrelationPass["verb"], accumulate: boolean) =>
      correlationOf(graph, node, n, verb, accumulate);
    if (needed[node.search]) {
      gradients.contribute(node.search, (dx, accumulate) => {
        list.convolve(pass("xcorrSearchGradient", accumulate), { dy, z: kept.value(node.exemplar), dx });
      });
    }
    if (needed[node.exemplar]) {
      gradients.contribute(node.exemplar, (dz, accumulate) => {
        list.convolve(pass("xcorrExemplarGradient", accumulate), { dy, x: kept.value(node.search), dz });
      });
    }
  };

  const record = (node: GraphNode, id: NodeId, dy: Ref): void => {
    if (node.op === "input") return;
    if (node.op === "xcorr") {
      recordCorrelationBackward(node, dy);
      return;
    }
    const shape = graph.shapes[id];
    const channels = shape.c;
    const rows = n * shape.h * shape.w;
    const reach = needed[node.input];
    switch (node.op) {
      case "conv":
      case "linear": {
        const window = windowOf(graph, id, node, n);
        const dw = parameters.target(parameterName(node, "weight"));
        if (dw) list.convolve({ verb: "convWeightGradient", shape: window }, { dy, x: kept.value(node.input), dw });
        const db = node.op === "linear" ? parameters.target(parameterName(node, "bias")) : undefined;
        if (db) list.run(columnSum({ rows, channels }), { x: dy, sum: db });
        if (reach) {
          gradients.contribute(node.input, (dx, accumulate) => {
            const w = net.parameter(parameterName(node, "weight"));
            list.convolve({ verb: "convInputGradient", shape: window, accumulate }, { dy, w, dx });
          });
        }
        return;
      }
      case "rbconv": {
        const window = windowOf(graph, id, node, n);
        const dw = parameters.target(parameterName(node, "weight"));
        const a = kept.signs(node);
        if (dw) list.convolve({ verb: "binaryConvWeightGradient", shape: window }, { dy, a, dw });
        if (reach) {
          const x = kept.value(node.input);
          gradients.contribute(node.input, (dx, accumulate) => {
            const { rectify, surrogate } = node;
            list.convolve(
              { verb: "binaryConvInputGradient", shape: window, rectify, surrogate, accumulate },
              {
                dy,
                w: net.parameter(parameterName(node, "weight")),
                c: net.parameter(parameterName(node, "c")),
                x,
                dx,
              },
            );
          });
        }
        return;
      }
      case "batchnorm":
        throw new RangeError(`${node.name}: a batch norm without a group`);
      case "activation": {
        const x = kept.value(node.input);
        if (node.kind === "prelu") {
          const dweight = parameters.targetOrScratch(parameterName(node, "weight"), channels);
          const weight = net.parameter(parameterName(node, "weight"));
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
      }
      case "pool": {
        const window = windowOf(graph, id, node, n);
        const { kind } = node;
        const x: Record<string, Ref> = kind === "max" ? { x: kept.value(node.input) } : {};
        gradients.contribute(node.input, (dx, accumulate) => {
          list.run(poolBackward({ shape: window, kind, accumulate }), { dy, ...x, dx });
        });
        return;
      }
      case "globalpool":
        gradients.contribute(node.input, (dx, accumulate) => {
          list.run(globalAveragePoolBackward({ ...mapShape(graph, node.input, n), accumulate }), { dy, dx });
        });
        return;
      case "add":
        if (reach) gradients.add(node.input, dy);
        if (needed[node.other]) gradients.add(node.other, dy);
        return;
      case "qconv":
      case "quantise":
      case "gamma":
      case "inputscale":
      case "gradientbits":
        recordQuantisedBackward({ list, graph, n, net, kept, gradients, parameters }, node, id, dy, reach);
        return;
      default:
        node satisfies never;
    }
  };

  for (const [node, dy] of options.dPooled ?? []) {
    if (graph.nodes[node].op === "batchnorm") continue;
    gradients.contribute(node, (dx, accumulate) => {
      list.run(globalAveragePoolBackward({ ...mapShape(graph, node, n), accumulate }), { dy, dx });
    });
  }
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    // What an input's gradient is, who asked for it reads afterwards.
    if (graph.nodes[id].op === "input") continue;
    const group = trace.fusion.groups.get(id);
    if (group) {
      if (needed[id]) recordGroup(group);
    } else {
      const dy = gradients.get(id);
      if (dy && needed[id]) record(graph.nodes[id], id, dy);
    }
    gradients.release(id);
    parameters.settle();
  }
}
