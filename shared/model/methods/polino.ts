// Model compression by quantisation (Polino, Pascanu & Alistarh, ICLR 2018): weights of b bits between a bucket's least
// and largest one (quantised distillation), or at points that are learned while W is held (differentiable
// quantisation). Activations stay floats.

import { z } from "zod";
import type { WeightForm } from "../graph.ts";
import { MOST_BITS } from "./bit-counts.ts";
import { tablePlanes } from "./bit-planes.ts";
import { commonBlock, companionOf, defineMethod, type LatentLayer, type WeightRule } from "./method.ts";
import { fullPrecisionStage, MOST_SHARE, problemsAfter, stagesAfter, trainingProgram } from "./programs.ts";
import { derivedPlanes, type LayerSize, quantisedBody } from "./quantised-body.ts";
import {
  bucketRanges,
  levelTable,
  nearestCodes,
  pointGradient,
  positions,
  quantiles,
  uniformCodes,
  uniformGradient,
} from "./uniform-levels.ts";

/** Far beyond any rate of points that stay in [0, 1]. */
const MOST_RATE = 10;

const schema = z.strictObject({
  kind: z.literal("polino"),
  bits: z.int().min(1).max(MOST_BITS).default(4).describe("2^bits levels of W"),
  bucket: z
    .enum(["layer", "out"])
    .default("layer")
    .describe("what shares a least and a largest weight: a layer or a filter; the authors' 256 in a row cross filters"),
  backward: z
    .enum(["none", "truncated", "full"])
    .default("none")
    .describe("to W: its gradient as it is; 0 outside 1, of weights clamped first; by least and largest weight too"),
  points: z.boolean().default(false).describe("levels are learned, and W is held"),
  pointCount: z
    .int()
    .min(2)
    .max(2 ** MOST_BITS)
    .optional()
    .describe("learned points a layer; 2^bits unless given"),
  pointRate: z
    .number()
    .min(0)
    .max(MOST_RATE)
    .default(1e-4)
    .describe("of points, times optimizer.learningRate: the authors' 1e-5 at a rate of 0.1"),
  pointStart: z
    .enum(["quantile", "uniform"])
    .default("quantile")
    .describe("points start at quantiles of the layer's weights, or evenly spaced"),
  pretrain: z
    .number()
    .min(0)
    .max(MOST_SHARE)
    .default(0.5)
    .describe(
      "with points, of the run's epochs: W trains in full precision before it is held (ours: the authors' W is trained)",
    ),
  holdWeights: z.boolean().default(true).describe("with points, W stays as it is; else it trains beside them (ours)"),
});
type Options = z.output<typeof schema>;

function pointsOf({ points, pointCount, bits }: Options): number {
  return points ? (pointCount ?? 2 ** bits) : 2 ** bits;
}

function formOf(options: Options) {
  const planes = Math.ceil(Math.log2(pointsOf(options)));
  return { kind: "table", planes, scale: options.bucket } as const satisfies WeightForm;
}

/** j/(n − 1). */
function even(n: number): Float64Array {
  return Float64Array.from({ length: n }, (_, j) => j / (n - 1));
}

function uniformRule(options: Options): WeightRule {
  const { bits, bucket, backward } = options;
  /** W as it is quantised. */
  const seen = ({ shape, weight }: LatentLayer) => ({
    shape,
    weight: backward === "truncated" ? weight.map((w) => Math.min(1, Math.max(-1, w))) : weight,
  });
  return {
    companion: (name, layer) => {
      const of = seen(layer);
      const ranges = bucketRanges(of, bucket);
      return name === "planes"
        ? tablePlanes(uniformCodes(positions(of.weight, ranges), bits), bits)
        : levelTable(even(2 ** bits), ranges, 2 ** bits);
    },
    gradients: (layer, gradient) => ({
      weight: uniformGradient(layer, gradient, options),
      learned: {},
      losses: {},
    }),
  };
}

function pointsRule(options: Options): WeightRule {
  const { bucket, pointStart, holdWeights } = options;
  const { planes } = formOf(options);
  const n = pointsOf(options);
  const placed = (layer: LatentLayer) => {
    const ranges = bucketRanges(layer, bucket);
    return { ranges, u: positions(layer.weight, ranges) };
  };
  return {
    companion: (name, layer) => {
      const { ranges, u } = placed(layer);
      if (name === "points") return pointStart === "uniform" ? Float32Array.from(even(n)) : quantiles(u, n);
      const points = companionOf(layer, "points");
      return name === "planes" ? tablePlanes(nearestCodes(u, points), planes) : levelTable(points, ranges, 2 ** planes);
    },
    gradients: (layer, gradient) => {
      const { ranges, u } = placed(layer);
      const codes = nearestCodes(u, companionOf(layer, "points"));
      // G is W's, too; whether it moves W is for `settle`.
      return { weight: gradient, learned: { points: pointGradient(gradient, codes, ranges, n) }, losses: {} };
    },
    readsPrevious: true,
    settle: ({ weight }, previous) => {
      if (holdWeights) weight.set(previous);
    },
    learn: {
      points: (layer, gradient, learningRate) => {
        const points = companionOf(layer, "points");
        for (let j = 0; j < n; j++) points[j] = Math.min(1, Math.max(0, points[j] - learningRate * gradient[j]));
        points.sort();
      },
    },
  };
}

/** Of the epochs, in full precision before the points. */
function floatShare({ points, pretrain }: Options): number {
  return points ? pretrain : 0;
}

export const polinoMethod = defineMethod({
  kind: "polino",
  schema,
  word: (options) => (options.points ? `${pointsOf(options)}-point` : `${options.bits}-bit`),
  objective: () => ({ kind: "polino" }),
  check: (options, { epochs }) => problemsAfter("polino", epochs, floatShare(options)),
  phases: (options, run) => trainingProgram(run, { stages: stagesAfter(run, floatShare(options), fullPrecisionStage) }),
  create: (options) => {
    const form = formOf(options);
    const { points, pointRate } = options;
    const companions = (layer: LayerSize) => [
      ...derivedPlanes(form, layer),
      ...(points ? [{ name: "points", role: "learned", shape: [pointsOf(options)], rate: pointRate } as const] : []),
    ];
    return {
      binarizesInput: false,
      block: commonBlock,
      body: quantisedBody({ form, companions }),
      rule: points ? pointsRule(options) : uniformRule(options),
    };
  },
});
