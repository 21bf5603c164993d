// Records L_Adv of one mini-batch: discriminators on teacher and student maps, their own gradients, and the gradient that reaches the student's maps.

import { activationBackward, activationForward } from "../kernels/activation.ts";
import { adversarialLoss } from "../kernels/adversarial-loss.ts";
import { columnSum } from "../kernels/conv.ts";
import { copy } from "../kernels/copy.ts";
import { globalAveragePoolBackward, globalAveragePoolForward } from "../kernels/pool.ts";
import type { Graph } from "../shared/graph.ts";
import { discriminatorName, discriminatorWidths } from "../shared/manifest.ts";
import type { WindowShape } from "../shared/window.ts";
import { type LaunchList, type Ref, slice } from "./launch-list.ts";
import type { NodeGradients } from "./node-gradients.ts";

/** LeakyReLU's slope between the discriminator's layers (METHOD §3). */
const LEAKY_SLOPE = 0.2;
/** Elements between the metrics of two layers, so that each can be bound on its own. */
export const METRIC_STRIDE = 64;

export interface AdversarialOptions {
  readonly n: number;
  /** Weight of L_Adv in the student's loss; with 0 only the discriminators learn. */
  readonly lambda: number;
  readonly reduce: "mean" | "sum";
  readonly parameter: (name: string) => Ref;
  readonly gradient: (name: string) => Ref;
}

function linearShape(rows: number, input: number, out: number): WindowShape {
  return { n: rows, h: 1, w: 1, in: input, out, kernel: 1, stride: 1, padding: 0 };
}

/** Factor of each layer's term. */
export function adversarialScale(layers: number, reduce: "mean" | "sum"): number {
  return reduce === "mean" ? 1 / layers : 1;
}

/**
 * @param real the teacher's value at each compared map; `fake` the student's
 * @param gradients receives the generator's gradient at the student's map nodes
 * @returns metrics f32 [maps][METRIC_STRIDE]: discriminator's and generator's loss, not scaled
 */
export function recordAdversarial(
  list: LaunchList,
  graph: Graph,
  real: readonly Ref[],
  fake: readonly Ref[],
  gradients: NodeGradients,
  options: AdversarialOptions,
): Ref {
  const metrics = list.tensor(graph.maps.length * METRIC_STRIDE);
  graph.maps.forEach((map, index) => {
    const layerMetrics = slice(metrics, index * METRIC_STRIDE, METRIC_STRIDE);
    recordLayer(
      list,
      graph,
      map.name,
      graph.shapes[map.node],
      real[index],
      fake[index],
      layerMetrics,
      options,
      (dPooled) => {
        const { h, w, c } = graph.shapes[map.node];
        gradients.contribute(map.node, (dx, accumulate) => {
          list.run(globalAveragePoolBackward({ n: options.n, positions: h * w, channels: c, accumulate }), {
            dy: dPooled,
            dx,
          });
        });
      },
    );
  });
  return metrics;
}

function recordLayer(
  list: LaunchList,
  graph: Graph,
  name: string,
  shape: { readonly h: number; readonly w: number; readonly c: number },
  real: Ref,
  fake: Ref,
  metrics: Ref,
  options: AdversarialOptions,
  takeGradient: (dPooled: Ref) => void,
): void {
  const { n, lambda, parameter, gradient } = options;
  const rows = 2 * n;
  const scale = adversarialScale(graph.maps.length, options.reduce);
  const tensorName = (layer: number, tensor: "weight" | "bias") => discriminatorName(name, layer, tensor);
  const inputs: Ref[] = [pooled(list, n, shape, real, fake)];
  const sums: Ref[] = [];
  const widths = [shape.c, ...discriminatorWidths];
  const last = discriminatorWidths.length - 1;
  discriminatorWidths.forEach((out, layer) => {
    const y = list.tensor(rows * out);
    const w = parameter(tensorName(layer, "weight"));
    const bias = parameter(tensorName(layer, "bias"));
    list.convolve(
      { verb: "convForward", shape: linearShape(rows, widths[layer], out), bias: true },
      {
        x: inputs[layer],
        w,
        bias,
        y,
      },
    );
    sums.push(y);
    if (layer === last) return;
    const activated = list.tensor(rows * out);
    list.run(activationForward({ kind: "leakyRelu", size: rows * out, slope: LEAKY_SLOPE }), { x: y, y: activated });
    inputs.push(activated);
  });

  const dlogitsD = list.tensor(rows);
  const dlogitsG = list.tensor(n);
  list.run(adversarialLoss({ n, discriminatorWeight: scale, generatorWeight: scale * lambda }), {
    logits: sums[last],
    dlogitsD,
    dlogitsG,
    metrics,
  });

  /** Back through the layers for `count` rows from `start`; `trained` writes the parameters' gradients. */
  const descend = (seed: Ref, start: number, count: number, trained: boolean): Ref | undefined => {
    let dy = seed;
    for (let layer = last; layer >= 0; layer--) {
      const window = linearShape(count, widths[layer], widths[layer + 1]);
      if (trained) {
        list.convolve(
          { verb: "convWeightGradient", shape: window },
          {
            dy,
            x: inputs[layer],
            dw: gradient(tensorName(layer, "weight")),
          },
        );
        list.run(columnSum({ rows: count, channels: widths[layer + 1] }), {
          x: dy,
          sum: gradient(tensorName(layer, "bias")),
        });
        if (layer === 0) return undefined;
      }
      const dx = list.tensor(count * widths[layer]);
      const w = parameter(tensorName(layer, "weight"));
      list.convolve({ verb: "convInputGradient", shape: window, accumulate: false }, { dy, w, dx });
      if (layer === 0) return dx;
      const size = count * widths[layer];
      const through = list.tensor(size);
      const x = slice(sums[layer - 1], start * widths[layer], size);
      const leaky = { kind: "leakyRelu", size, slope: LEAKY_SLOPE, accumulate: false } as const;
      list.run(activationBackward(leaky), { dy: dx, x, dx: through });
      dy = through;
    }
    return undefined;
  };
  descend(dlogitsD, 0, rows, true);
  if (lambda > 0) {
    const dPooled = descend(dlogitsG, n, n, false);
    if (dPooled) takeGradient(dPooled);
  }
}

/** Teacher's and student's map averaged over positions: f32 [2n][c], the teacher's rows first. */
function pooled(
  list: LaunchList,
  n: number,
  { h, w, c }: { readonly h: number; readonly w: number; readonly c: number },
  real: Ref,
  fake: Ref,
): Ref {
  const both = list.tensor(2 * n * c);
  [real, fake].forEach((map, half) => {
    const part = list.tensor(n * c);
    list.run(globalAveragePoolForward({ n, positions: h * w, channels: c }), { x: map, y: part });
    list.run(copy({ size: n * c, toOffset: half * n * c }), { x: part, y: both });
  });
  return both;
}
