// What a pass is computed with first, and what is compiled next beside it.

import { expect, test } from "vitest";
import { smallestTiling, tilings } from "../../../kernels/convolution/convolution-pass.ts";
import type { ConvolutionPass } from "../../../kernels/convolution/pass/pass.ts";
import { NAIVE, tilingName } from "../../../kernels/convolution/pass/tiling.ts";
import { dueUpgrades, soonestTiling } from "../../../worker/tuning/soonest-tiling.ts";
import { untuned } from "../../../worker/tuning/tuning-options.ts";

function forward(n: number, side: number, channels: number): ConvolutionPass {
  const shape = { n, h: side, w: side, in: channels, out: channels, kernel: 3, stride: 1, padding: 1 };
  return { verb: "convForward", shape, bias: false };
}

/** Of 0.6, 9.4, 75 and 9,664 million multiply-adds. */
const [speck, small, middle, large] = [
  forward(1, 8, 32),
  forward(16, 8, 32),
  forward(32, 16, 32),
  forward(1, 1024, 32),
];

test.each([
  ["software", { software: true, suspect: false }, ["naive", "r1x4", "r1x4", "r1x4"]],
  ["a GPU", { software: false, suspect: false }, ["naive", "naive", "naive", "fastest"]],
  ["software under suspicion", { software: true, suspect: true }, ["naive", "naive", "fastest", "fastest"]],
  ["a GPU under suspicion", { software: false, suspect: true }, ["naive", "naive", "naive", "fastest"]],
])("on %s a pass begins with what compiles soonest for its size", (_, circumstances, wanted) => {
  const names = [speck, small, middle, large].map((pass) => {
    const tiling = soonestTiling(pass, circumstances);
    return tiling === "fastest" ? tiling : tilingName(tiling);
  });
  expect(names).toEqual(wanted);
});

test("each pass has a smallest tile, which its operands allow", () => {
  const { shape } = small;
  const gradients: readonly ConvolutionPass[] = [
    { verb: "convWeightGradient", shape },
    { verb: "convInputGradient", shape, accumulate: false },
    { verb: "binaryConvForward", shape, rectify: "filter" },
    { verb: "binaryConvWeightGradient", shape },
  ];
  expect(gradients.map((pass) => tilingName(smallestTiling(pass)))).toEqual(["r4x4", "r1x4", "r1x4", "r4x4"]);
});

test("the naive kernel's largest pass gets its fastest tiling first, then what was measured since; others are left", () => {
  const { traits } = untuned();
  const [first, second] = tilings(small, traits);
  const passes = [
    { pass: large, used: second, fastest: first },
    { pass: speck, used: NAIVE, fastest: first },
    { pass: middle, used: NAIVE, fastest: first },
    { pass: small, used: first, fastest: first },
  ];
  expect(dueUpgrades(passes).map(({ pass }) => pass)).toEqual([middle, speck, large]);
});
