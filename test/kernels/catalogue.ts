// Every kernel once for each way its text can differ, for tests that only compile.

import { convolutionPass, smallestTiling } from "../../kernels/convolution/convolution-pass.ts";
import { naivePass } from "../../kernels/convolution/naive/pass.ts";
import { correlationPass } from "../../kernels/convolution/pass/correlation.ts";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
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
import { planesConvForward } from "../../kernels/convolution/registers/planes-conv-forward.ts";
import { workgroupPass } from "../../kernels/convolution/workgroup/pass.ts";
import { activationBackward, activationForward, preluBackward, preluForward } from "../../kernels/layers/activation.ts";
import { add, addTo, addWeighted } from "../../kernels/layers/elementwise.ts";
import { expandWeights, type PlaneForm } from "../../kernels/layers/expand-weights.ts";
import { gammaGradients, gammaScale } from "../../kernels/layers/gamma.ts";
import { gradientNoise, gradientPeaks, quantiseGradient } from "../../kernels/layers/gradient-bits.ts";
import { groupedLinearForward } from "../../kernels/layers/grouped-linear.ts";
import { groupedLinearInputGradient } from "../../kernels/layers/grouped-linear-input-gradient.ts";
import { groupedLinearParameterGradient } from "../../kernels/layers/grouped-linear-parameter-gradient.ts";
import { inputScale, scalePositions } from "../../kernels/layers/input-scale.ts";
import { lookUp } from "../../kernels/layers/look-up.ts";
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
import { quantiseForward } from "../../kernels/layers/quantise.ts";
import { basesBackward, quantiseBackward } from "../../kernels/layers/quantise-backward.ts";
import { blockStatistics } from "../../kernels/layers/sample-blocks.ts";
import { scale } from "../../kernels/layers/scale.ts";
import { adversarialLoss } from "../../kernels/losses/adversarial-loss.ts";
import { balancedLogistic } from "../../kernels/losses/balanced-logistic.ts";
import { collectLoss } from "../../kernels/losses/collect-loss.ts";
import { criticAnswers } from "../../kernels/losses/critic-answers.ts";
import { kernelLoss } from "../../kernels/losses/kernel-loss.ts";
import { softTargetLoss } from "../../kernels/losses/soft-target-loss.ts";
import { softmaxCrossEntropy } from "../../kernels/losses/softmax-cross-entropy.ts";
import { squaredDistance } from "../../kernels/losses/squared-distance.ts";
import { accumulateExact, accumulateFloat } from "../../kernels/steps/accumulate.ts";
import { adamUpdate } from "../../kernels/steps/adam-update.ts";
import { checksum } from "../../kernels/steps/checksum.ts";
import { latentGradient } from "../../kernels/steps/latent-gradient.ts";
import { pseudoGradient, weighted } from "../../kernels/steps/pseudo-gradient.ts";
import { runningStatistic } from "../../kernels/steps/running-statistic.ts";
import { sgdUpdate } from "../../kernels/steps/sgd-update.ts";
import type { Kernel, KernelSequence } from "../../kernels/text/kernel.ts";
import type { QuantiseRule } from "../../shared/model/graph.ts";
import type { Rectify, Surrogate } from "../../shared/model/rectify.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import { inferenceKernels } from "./inference-cases.ts";
import { OPERANDS } from "./planes-cases.ts";

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

/** Groups whose channels fill no word, and lie by fours. */
const IN_GROUPS: WindowShape = { n: 3, h: 9, w: 7, in: 48, out: 20, kernel: 3, stride: 2, padding: 1, groups: 2 };

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

const PLANE_FORMS: readonly PlaneForm[] = [
  { kind: "linear", planes: 1, scale: "layer" },
  { kind: "linear", planes: 3, scale: "out" },
  { kind: "ternary" },
  { kind: "table", planes: 2, scale: "layer" },
  { kind: "table", planes: 4, scale: "out" },
];

const RULES: readonly QuantiseRule[] = [
  { kind: "sign", surrogate: "ste" },
  { kind: "sign", surrogate: "bireal" },
  { kind: "bits", bits: 1 },
  { kind: "bits", bits: 4 },
  { kind: "bases", bases: 3 },
];

const MAPS = [
  { n: 3, positions: 50, channels: 64 },
  { n: 2, positions: 9, channels: 33 },
  { n: 32, positions: 1, channels: 12 },
];

const PLAIN = { activation: "none", shortcut: false } as const;

/** Every pass with groups. */
function groupedPasses(): readonly ConvolutionPass[] {
  const shape = IN_GROUPS;
  return [
    { verb: "convForward", shape, bias: true },
    { verb: "convInputGradient", shape, accumulate: true },
    { verb: "convWeightGradient", shape },
    { verb: "binaryConvWeightGradient", shape },
    ...RECTIFY.flatMap((rectify): readonly ConvolutionPass[] => [
      { verb: "binaryConvForward", shape, rectify },
      { verb: "binaryConvInputGradient", shape, rectify, surrogate: "ste", accumulate: false },
    ]),
  ];
}

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

/** Nodes of the methods that quantise by planes. */
function quantisations(): readonly (Kernel | KernelSequence)[] {
  const maps = [
    { rows: 50, channels: 64 },
    { rows: 9, channels: 33 },
  ];
  const outputs = [
    { store: true, pack: "words" },
    { store: false, pack: "words" },
    { store: true, pack: "lanes" },
    { store: false, pack: "lanes" },
    { store: true, pack: false },
  ] as const;
  const accumulate = true;
  const axes = [["c"], ["h", "w"], ["c", "h", "w"]] as const;
  const sample = { n: 3, elements: 100 };
  return [
    ...[8, 33].flatMap((input) => PLANE_FORMS.map((form) => expandWeights({ out: 5, kernel: 3, in: input, form }))),
    ...maps.flatMap((map, turn) => [
      ...RULES.map((rule, i) => quantiseForward({ ...map, rule, ...outputs[(i + turn) % outputs.length]! })),
      ...RULES.flatMap((rule) => (rule.kind === "bases" ? [] : [quantiseBackward({ ...map, rule, accumulate })])),
      basesBackward({ ...map, bases: 3, accumulate }),
      scalePositions({ positions: map.rows, channels: map.channels, accumulate }),
    ]),
    ...[64, 33].flatMap((channels) =>
      axes.flatMap((some) => [
        gammaScale({ n: 2, h: 5, w: 3, channels, axes: some, accumulate }),
        gammaGradients({ n: 2, h: 5, w: 3, channels, axes: some }),
      ]),
    ),
    ...SHAPES.map((shape) => inputScale(shape)),
    gradientPeaks(sample),
    gradientNoise({ size: 300 }),
    quantiseGradient({ ...sample, bits: 4, accumulate }),
  ];
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
    ...quantisations(),
    ...inferenceKernels(),
    lookUp({ size: 32 * 28 * 28, channels: 1 }),
    lookUp({ size: 3 * 7 * 9 * 3, channels: 3 }),
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
    ...[10, 100].flatMap((classes) =>
      (["cross-entropy", "divergence"] as const).map((kind, i) =>
        softTargetLoss({
          rows: 32,
          classes,
          temperature: 2,
          kind,
          reduce: "batch",
          weight: 0.5,
          targetGradient: i === 0,
        }),
      ),
    ),
    ...[0, 2].map((bits) =>
      squaredDistance({ size: 999, factor: 0.1, weight: 1e-7, bits, otherGradient: bits > 0, accumulate: bits > 0 }),
    ),
    balancedLogistic({ n: 3, h: 17, w: 16, radius: 2, within: [2, 4] }),
    collectLoss({ at: 5, terms: 3, scale: 1e-7 }),
    ...[64, 7].map((size) => scale({ size, factor: 0.3 })),
    ...[1e-7, 0].map((lambda) => adversarialLoss({ layers: 3, n: 32, weight: 1, lambda })),
    criticAnswers({ layers: 3, n: 32, at: 5 }),
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
    binaryConvInputGradient({ shape: SHAPES[1]!, rectify: "out", surrogate: "open", accumulate }),
    ...groupedPasses().flatMap((pass) => [
      naivePass(pass),
      convolutionPass(pass, smallestTiling(pass)),
      workgroupPass(pass, WORKGROUP),
    ]),
    normalise({ ...MAPS[0]!, ...PLAIN, store: true, pack: "words", groups: 2 }),
    normalise({ ...MAPS[0]!, ...PLAIN, store: false, pack: "lanes", groups: 2 }),
    ...(["popcount", "carrySave"] as const).flatMap((counter) =>
      (["kernel", "layer"] as const).map((rectify) => binaryConvForward({ shape: WIDE, rectify, counter })),
    ),
    ...OPERANDS.slice(0, 4).flatMap((operands, i) => [
      planesConvForward({ shape: i % 2 === 0 ? WIDE : SHAPES[1]!, ...operands, counter: "carrySave" }),
      naivePass({ verb: "planesConvForward", shape: SHAPES[1]!, ...operands }),
      workgroupPass({ verb: "planesConvForward", shape: i % 2 === 0 ? SHAPES[1]! : WIDE, ...operands }, WORKGROUP),
    ]),
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

/** A correlation with both its gradients, each in the three ways. */
function correlations(): readonly KernelSequence[] {
  const of = { n: 4, exemplars: 2, channels: 6, h: 7, w: 6, rows: 3, columns: 2 };
  const verbs = ["xcorrForward", "xcorrSearchGradient", "xcorrExemplarGradient"] as const;
  return verbs.flatMap((verb) => {
    const pass = correlationPass(verb, of, { scale: 0.001, accumulate: true });
    return [naivePass(pass), convolutionPass(pass), workgroupPass(pass, WORKGROUP)];
  });
}

/** The distinct kernels of every verb. */
export function catalogue(): readonly Kernel[] {
  const kernels = [...verbs(), ...correlations()].flatMap((verb) => ("kernels" in verb ? verb.kernels : [verb]));
  return [...new Map(kernels.map((kernel) => [kernel.wgsl, kernel])).values()];
}
