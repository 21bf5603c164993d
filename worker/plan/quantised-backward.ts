// Records what goes back through the nodes of methods that quantise: to the layers below, and to what of them is
// trained.

import { gammaGradients } from "../../kernels/layers/gamma.ts";
import { gradientNoise, gradientPeaks, quantiseGradient } from "../../kernels/layers/gradient-bits.ts";
import { scalePositions } from "../../kernels/layers/input-scale.ts";
import { basesBackward, quantiseBackward } from "../../kernels/layers/quantise-backward.ts";
import { type Graph, type GraphNode, gammaParameter, type NodeId, parameterName } from "../../shared/model/graph.ts";
import type { KeptValues } from "./kept-values.ts";
import type { LaunchList, Ref } from "./launch-list.ts";
import { type NetworkBuffers, sampleSize, windowOf } from "./network-buffers.ts";
import type { NodeGradients } from "./node-gradients.ts";
import type { ParameterGradients } from "./parameter-gradients.ts";
import {
  effectiveWeight,
  type GammaNode,
  gammaMap,
  gammaRefs,
  type QuantisedConvolution,
  type QuantiseNode,
  recordGamma,
  ruleRefs,
} from "./quantised.ts";

/** A backward pass on its way. */
export interface BackwardPass {
  readonly list: LaunchList;
  readonly graph: Graph;
  readonly n: number;
  readonly net: NetworkBuffers;
  readonly kept: KeptValues;
  readonly gradients: NodeGradients;
  readonly parameters: ParameterGradients;
}

type QuantisedNode = Extract<GraphNode, { op: "qconv" | "quantise" | "gamma" | "inputscale" | "gradientbits" }>;

/**
 * @param dy gradient of the node's output
 * @param reach somebody before it needs its input's
 */
export function recordQuantisedBackward(
  pass: BackwardPass,
  node: QuantisedNode,
  id: NodeId,
  dy: Ref,
  reach: boolean,
): void {
  const { list, graph, n, kept, gradients } = pass;
  const { c: channels } = graph.shapes[id];
  const elements = sampleSize(graph.shapes[id]);
  switch (node.op) {
    case "qconv":
      convolutionBackward(pass, node, id, dy, reach);
      return;
    case "quantise":
      quantisedMapBackward(pass, node, id, dy, reach);
      return;
    case "gamma":
      gammaBackward(pass, node, id, dy, reach);
      return;
    case "inputscale":
      gradients.contribute(node.input, (dx, accumulate) => {
        const kernel = scalePositions({ positions: (n * elements) / channels, channels, accumulate });
        list.run(kernel, { x: dy, k: kept.scale(id), y: dx });
      });
      return;
    case "gradientbits": {
      const [peak, noise] = [list.tensor(n), list.tensor(n * elements)];
      list.run(gradientPeaks({ n, elements }), { dy, peak });
      list.run(gradientNoise({ size: n * elements }), { dy, noise });
      gradients.contribute(node.input, (dx, accumulate) => {
        list.run(quantiseGradient({ n, elements, bits: node.bits, accumulate }), { dy, peak, noise, dx });
      });
      return;
    }
    default:
      node satisfies never;
  }
}

/** The weight's is that of W̃, by the values that the planes of the input stand for. */
function convolutionBackward(
  { list, graph, n, net, kept, gradients, parameters }: BackwardPass,
  node: QuantisedConvolution,
  id: NodeId,
  dy: Ref,
  reach: boolean,
): void {
  const shape = windowOf(graph, id, node, n);
  const dw = parameters.target(parameterName(node, "weight"));
  if (dw) list.convolve({ verb: "convWeightGradient", shape }, { dy, x: kept.value(node.input), dw });
  if (!reach) return;
  const w = effectiveWeight(list, graph, node, net);
  gradients.contribute(node.input, (dx, accumulate) => {
    list.convolve({ verb: "convInputGradient", shape, accumulate }, { dy, w, dx });
  });
}

function quantisedMapBackward(
  { list, graph, n, net, kept, gradients, parameters }: BackwardPass,
  node: QuantiseNode,
  id: NodeId,
  dy: Ref,
  reach: boolean,
): void {
  const { h, w, c: channels } = graph.shapes[id];
  const rows = n * h * w;
  const { rule } = node;
  const x = kept.value(node.input);
  if (rule.kind !== "bases") {
    gradients.contribute(node.input, (dx, accumulate) => {
      list.run(quantiseBackward({ rows, channels, rule, accumulate }), { dy, x, dx });
    });
    return;
  }
  const { bases } = rule;
  const sums = {
    dshift: parameters.targetOrScratch(parameterName(node, "shift"), bases),
    dscale: parameters.targetOrScratch(parameterName(node, "scale"), bases),
  };
  const write = (dx: Ref, accumulate: boolean) =>
    list.run(basesBackward({ rows, channels, bases, accumulate }), { dy, x, ...ruleRefs(node, net), dx, ...sums });
  if (reach) gradients.contribute(node.input, write);
  else write(list.tensor(rows * channels), false);
}

function gammaBackward(
  { list, graph, n, net, kept, gradients, parameters }: BackwardPass,
  node: GammaNode,
  id: NodeId,
  dy: Ref,
  reach: boolean,
): void {
  const map = gammaMap(graph, n, id, node);
  const sizes = { c: map.channels, h: map.h, w: map.w };
  const targets = node.axes.map((axis) => [axis, parameters.target(gammaParameter(node, axis))] as const);
  if (targets.some(([, target]) => target !== undefined)) {
    // The kernels write every axis' sums, those of a frozen one beside.
    const sums = targets.map(([axis, target]) => [`d_${axis}`, target ?? list.tensor(sizes[axis])]);
    const refs = { ...gammaRefs(node, net), ...Object.fromEntries(sums) };
    list.run(gammaGradients(map), { dy, x: kept.value(node.input), ...refs });
  }
  if (!reach) return;
  gradients.contribute(node.input, (dx, accumulate) => {
    recordGamma(list, graph, n, id, node, net, dy, dx, accumulate);
  });
}
