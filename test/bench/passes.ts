// `bench passes`: what the forward of a layer costs by its passes over bit planes, beside the 1-bit convolution and the
// float one. By METHODS' count it grows with the pairs of planes.

import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import {
  type PlaneActivations,
  type PlaneWeights,
  planeForm,
  planePairs,
} from "../../kernels/convolution/pass/planes.ts";
import { tilingName } from "../../kernels/convolution/pass/tiling.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import type { BenchDevice } from "./bench-device.ts";
import { peerShape } from "./convolution-cases.ts";
import { fastestTilings } from "./fastest-tiling.ts";
import type { Emit } from "./line.ts";
import { PassBuffers } from "./pass-buffers.ts";
import { submit } from "./replay.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { pairedRatio, rounded } from "./statistics.ts";
import { type Stopwatch, timeInTurns } from "./stopwatch.ts";

interface PassesCase {
  readonly name: string;
  readonly pass: ConvolutionPass;
  /** Popcounts of a pair of words. */
  readonly passes: number;
}

function planes(shape: WindowShape, name: string, activations: PlaneActivations, weights: PlaneWeights): PassesCase {
  const pass = { verb: "planesConvForward", shape, activations, weights } as const;
  return { name, pass, passes: planePairs(planeForm(pass)) };
}

function casesOf(shape: WindowShape): readonly PassesCase[] {
  const bits = (k: number) => ({ kind: "bits", bits: k }) as const;
  const linear = (count: number) => ({ kind: "linear", planes: count, scale: "layer" }) as const;
  const bases = (count: number) => ({ kind: "bases", bases: count }) as const;
  return [
    { name: "1-bit", pass: { verb: "binaryConvForward", shape, rectify: "layer" }, passes: 1 },
    { name: "float", pass: { verb: "convForward", shape, bias: false }, passes: 0 },
    planes(shape, "DoReFa 1/1", bits(1), linear(1)),
    planes(shape, "DoReFa 1/2", bits(2), linear(1)),
    planes(shape, "DoReFa 2/2", bits(2), linear(2)),
    planes(shape, "ABC 1/1", bases(1), linear(1)),
    planes(shape, "ABC 3/3", bases(3), linear(3)),
    planes(shape, "ternary with signs", { kind: "sign" }, { kind: "ternary" }),
  ];
}

const SHAPES: readonly (readonly [name: string, shape: WindowShape])[] = [
  ["cifar 64-64", { n: 8, h: 32, w: 32, in: 64, out: 64, kernel: 3, stride: 1, padding: 1 }],
  ["peer 128-128", peerShape],
];

async function timeLayer(
  bench: BenchDevice,
  watch: Stopwatch,
  layer: string,
  cases: readonly PassesCase[],
  emit: Emit,
): Promise<void> {
  const choose = await fastestTilings(
    bench,
    watch,
    cases.map(({ pass }) => pass),
    watch,
  );
  const buffers = cases.map(({ pass }) => new PassBuffers(bench, pass));
  try {
    const tilings = cases.map(({ pass }) => choose(pass)!);
    const bound = await Promise.all(cases.map(({ pass }, i) => buffers[i].bind(convolutionPass(pass, tilings[i]))));
    const work = bound.map((launches) => ({ submit: (times: number) => submit(bench.device, launches, times) }));
    const timings = await timeInTurns(watch, work);
    const [binary, float] = timings;
    for (const [i, { name, passes }] of cases.entries()) {
      await emit({
        record: "passes",
        name: `${layer} ${name}`,
        passes,
        tiling: tilingName(tilings[i]),
        ms: rounded(timings[i].best),
        medianMs: rounded(timings[i].median),
        ofBinary: rounded(pairedRatio(timings[i].rounds, binary.rounds), 3),
        ofFloat: rounded(pairedRatio(timings[i].rounds, float.rounds), 3),
      });
    }
  } finally {
    for (const one of buffers) one.destroy();
  }
}

/** The words choose layers: the forms of one are compared with each other. */
export async function benchPasses(
  bench: BenchDevice,
  watch: Stopwatch,
  request: BenchmarkRequest,
  emit: Emit,
): Promise<void> {
  for (const [layer, shape] of SHAPES) {
    if (selects(request, layer)) await timeLayer(bench, watch, layer, casesOf(shape), emit);
  }
}
