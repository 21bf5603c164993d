// Every kernel once for each way its text can differ, for tests that only compile.

import { naivePass } from "../../kernels/convolution/naive/pass.ts";
import type { WorkgroupTiling } from "../../kernels/convolution/pass/tiling.ts";
import {
  binaryConvForward,
  binaryConvInputGradient,
  binaryConvWeightGradient,
} from "../../kernels/convolution/registers/binary-conv.ts";
import {
  columnSum,
  convForward,
  convInputGradient,
  convWeightGradient,
} from "../../kernels/convolution/registers/conv.ts";
import { workgroupPass } from "../../kernels/convolution/workgroup/pass.ts";
import { activationBackward, activationForward, preluBackward, preluForward } from "../../kernels/layers/activation.ts";
import { add, addTo, addWeighted } from "../../kernels/layers/elementwise.ts";
import { groupedLinearForward } from "../../kernels/layers/grouped-linear.ts";
import { groupedLinearInputGradient } from "../../kernels/layers/grouped-linear-input-gradient.ts";
import { groupedLinearParameterGradient } from "../../kernels/layers/grouped-linear-parameter-gradient.ts";
import { batchNorm, pooledNorm, runningNorm } from "../../kernels/layers/norm-statistics.ts";
import { normalise } from "../../kernels/layers/normalise.ts";
import { normaliseBackwardInput, normaliseBackwardSums } from "../../kernels/layers/normalise-backward.ts";
import { packSigns } from "../../kernels/layers/pack-signs.ts";
import {
  globalAveragePoolBackward,
  globalAveragePoolForward,
  poolBackward,
  poolForward,
} from "../../kernels/layers/pool.ts";
import { blockStatistics } from "../../kernels/layers/sample-blocks.ts";
import { adversarialLoss } from "../../kernels/losses/adversarial-loss.ts";
import { kernelLoss } from "../../kernels/losses/kernel-loss.ts";
import { softmaxCrossEntropy } from "../../kernels/losses/softmax-cross-entropy.ts";
import { accumulateExact, accumulateFloat } from "../../kernels/steps/accumulate.ts";
import { adamUpdate } from "../../kernels/steps/adam-update.ts";
import { checksum } from "../../kernels/steps/checksum.ts";
import { latentGradient } from "../../kernels/steps/latent-gradient.ts";
import { pseudoGradient, weighted } from "../../kernels/steps/pseudo-gradient.ts";
import { runningStatistic } from "../../kernels/steps/running-statistic.ts";
import { sgdUpdate } from "../../kernels/steps/sgd-update.ts";
import type { Kernel, KernelSequence } from "../../kernels/text/kernel.ts";
import type { Rectify, Surrogate } from "../../shared/model/rectify.ts";
import type { WindowShape } from "../../shared/model/window.ts";

const RECTIFY: readonly Rectify[] = ["kernel", "layer", "out", "filter"];
const SURROGATES: readonly Surrogate[] = ["bireal", "ste"];

const SHAPES: readonly WindowShape[] = [
  { n: 32, h: 12, w: 12, in: 12, out: 24, kernel: 5, stride: 1, padding: 0 },
  { n: 3, h: 9, w: 7, in: 33, out: 31, kernel: 3, stride: 2, padding: 1 },
];
const FLOAT_SHAPES: readonly WindowShape[] = [
  ...SHAPES,
  { n: 8, h: 28, w: 28, in: 1, out: 12, kernel: 5, stride: 1, padding: 0 },
  { n: 8, h: 23, w: 23, in: 3, out: 16, kernel: 7, stride: 2, padding: 3 },
  { n: 64, h: 1, w: 1, in: 128, out: 1, kernel: 1, stride: 1, padding: 0 },
];

/** More words a tap than are written out. */
const WIDE: WindowShape = { n: 3, h: 5, w: 4, in: 300, out: 8, kernel: 3, stride: 1, padding: 1 };

const WORKGROUP: WorkgroupTiling = {
  kind: "workgroup",
  rows: 4,
  columns: 4,
  down: 8,
  across: 8,
  depth: 16,
  half: false,
};

const GROUPED = [
  { groups: 3, n: 32, in: 64, out: 128 },
  { groups: 1, n: 5, in: 33, out: 128 },
  { groups: 2, n: 1, in: 128, out: 1 },
];

const MAPS = [
  { n: 3, positions: 50, channels: 64 },
  { n: 2, positions: 9, channels: 33 },
  { n: 32, positions: 1, channels: 12 },
];

/** Normalisations with all that can stand behind them. */
function normalisations(): readonly (Kernel | KernelSequence)[] {
  const epilogues = (["none", "prelu", "relu", "hardtanh"] as const).flatMap((activation) =>
    [false, true].map((shortcut) => ({ activation, shortcut })),
  );
  const stores = [
    { store: true, pack: "words" },
    { store: true, pack: false },
    { store: false, pack: "lanes" },
  ] as const;
  return MAPS.flatMap((map) => [
    blockStatistics({ ...map, squares: true }),
    blockStatistics({ ...map, squares: false }),
    batchNorm({ ...map, eps: 1e-5 }),
    runningNorm({ ...map, eps: 1e-5 }),
    pooledNorm(map),
    ...epilogues.flatMap((epilogue, i) => [
      normalise({ ...map, ...epilogue, ...stores[i % stores.length]! }),
      normaliseBackwardSums({ ...map, ...epilogue, pooled: i % 2 === 0 }),
    ]),
    ...(["in place", "fresh", "accumulate"] as const).flatMap((target) =>
      [false, true].map((pooled) => normaliseBackwardInput({ ...map, target, pooled })),
    ),
  ]);
}

function verbs(): readonly (Kernel | KernelSequence)[] {
  const columns = [
    { rows: 1000, channels: 12 },
    { rows: 18, channels: 33 },
  ];
  const pools = SHAPES.map((s) => ({ ...s, out: s.in }));
  const accumulate = true;
  return [
    ...columns.flatMap((c) => [packSigns(c), columnSum(c), preluForward(c), preluBackward({ ...c, accumulate })]),
    ...(["relu", "hardtanh"] as const).flatMap((kind) =>
      [64, 7].flatMap((size) => [activationForward({ kind, size }), activationBackward({ kind, size, accumulate })]),
    ),
    ...normalisations(),
    ...pools.flatMap((shape) =>
      (["max", "avg"] as const).flatMap((kind) => [
        poolForward({ shape, kind }),
        poolBackward({ shape, kind, accumulate }),
      ]),
    ),
    ...[24, 7].flatMap((channels) => [
      globalAveragePoolForward({ n: 2, positions: 9, channels }),
      globalAveragePoolBackward({ n: 2, positions: 9, channels, accumulate }),
    ]),
    ...[64, 7].flatMap((size) => [add({ size }), addTo({ size })]),
    softmaxCrossEntropy({ n: 32, classes: 10, labelSmoothing: 0.1 }),
    ...[1e-7, 0].map((lambda) => adversarialLoss({ layers: 3, n: 32, weight: 1, lambda })),
    ...GROUPED.flatMap((o) => [
      groupedLinearForward({ ...o, members: 2, weightStride: 8448, biasStride: 8448, leaky: o.out > 1 }),
      groupedLinearInputGradient({ ...o, weightStride: 8448, to: "hidden" }),
      groupedLinearInputGradient({ ...o, weightStride: 8448, to: "maps" }),
      groupedLinearParameterGradient({ ...o, stride: 8448, weight: 0, bias: 8320 }),
    ]),
    ...RECTIFY.map((rectify) => kernelLoss({ out: 8, kernel: 3, in: 6, rectify, lambda: 1e-4 })),
    ...RECTIFY.map((rectify) =>
      latentGradient({ out: 8, kernel: 3, in: 6, rectify, lambda: 1e-4, kernelGradient: "both" }),
    ),
    ...[64, 7].flatMap((size) => [
      sgdUpdate({ size, momentum: 0.9, weightDecay: 1e-4, rate: 4, bound: 1 }),
      sgdUpdate({ size, momentum: 0.9, weightDecay: 0, rate: 0 }),
      adamUpdate({ size, betas: [0.9, 0.999], epsilon: 1e-8, at: 4, bound: 1 }),
      adamUpdate({ size, betas: [0.5, 0.999], epsilon: 1e-8, at: 12 }),
      runningStatistic({ size }),
      pseudoGradient({ size, weight: 16 }),
      weighted({ size, weight: 16 }),
    ]),
    addWeighted({ size: 5, weight: 32 }),
    checksum({ words: 100 }),
    accumulateExact({ size: 128, weight: 32, clip: 1000 }),
    accumulateFloat({ size: 128, weight: 32 }),
    ...FLOAT_SHAPES.flatMap((shape) => [
      convForward({ shape, bias: true }),
      convInputGradient({ shape, accumulate }),
      convWeightGradient({ shape }),
    ]),
    ...SHAPES.flatMap((shape) => [
      binaryConvWeightGradient({ shape }),
      ...RECTIFY.flatMap((rectify, i) => [
        binaryConvForward({ shape, rectify }),
        binaryConvInputGradient({ shape, rectify, surrogate: SURROGATES[i % 2]!, accumulate }),
      ]),
    ]),
    ...(["popcount", "carrySave"] as const).flatMap((counter) =>
      (["kernel", "layer"] as const).map((rectify) => binaryConvForward({ shape: WIDE, rectify, counter })),
    ),
    ...SHAPES.slice(1).flatMap((shape) => [
      naivePass({ verb: "convForward", shape, bias: true }),
      naivePass({ verb: "convInputGradient", shape, accumulate }),
      naivePass({ verb: "convWeightGradient", shape }),
      naivePass({ verb: "binaryConvWeightGradient", shape }),
      ...RECTIFY.flatMap((rectify) => [
        naivePass({ verb: "binaryConvForward", shape, rectify }),
        naivePass({ verb: "binaryConvInputGradient", shape, rectify, surrogate: "ste", accumulate }),
      ]),
    ]),
    ...SHAPES.slice(1).flatMap((shape) => [
      workgroupPass({ verb: "convForward", shape, bias: true }, WORKGROUP),
      workgroupPass({ verb: "convInputGradient", shape, accumulate }, WORKGROUP),
      workgroupPass({ verb: "convWeightGradient", shape }, WORKGROUP),
      workgroupPass({ verb: "binaryConvForward", shape, rectify: "kernel" }, WORKGROUP),
      workgroupPass({ verb: "binaryConvForward", shape, rectify: "filter" }, WORKGROUP),
      workgroupPass(
        { verb: "binaryConvInputGradient", shape, rectify: "out", surrogate: "bireal", accumulate },
        WORKGROUP,
      ),
      workgroupPass({ verb: "binaryConvWeightGradient", shape }, WORKGROUP),
    ]),
  ];
}

/** The distinct kernels of every verb. */
export function catalogue(): readonly Kernel[] {
  const kernels = verbs().flatMap((verb) => ("kernels" in verb ? verb.kernels : [verb]));
  return [...new Map(kernels.map((kernel) => [kernel.wgsl, kernel])).values()];
}
