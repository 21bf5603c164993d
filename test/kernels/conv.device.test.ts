// Float convolution against plain loops: any size, stride and padding, and the shapes where tiles do not fit; every
// other one, and with `npm run test:long` each.
import { describe, expect, test } from "vitest";
import {
  columnSum,
  convForward,
  convInputGradient,
  convWeightGradient,
} from "../../kernels/convolution/registers/conv.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { uniform } from "./data.ts";
import { expectSums, expectWithin } from "./expect-close.ts";
import { convolution, inputGradient, inputSize, outputSize, weightGradient, weightSize } from "./reference.ts";

function window(
  n: number,
  [h, w]: readonly [number, number],
  [input, out]: readonly [number, number],
  [kernel, stride, padding]: readonly [number, number, number],
): WindowShape {
  return { n, h, w, in: input, out, kernel, stride, padding };
}

const SHAPES: readonly WindowShape[] = [
  window(1, [5, 5], [1, 1], [3, 1, 1]),
  window(32, [9, 8], [1, 12], [5, 1, 0]),
  window(3, [11, 9], [3, 7], [3, 1, 1]),
  window(2, [23, 23], [3, 16], [7, 2, 3]),
  window(8, [6, 6], [12, 24], [5, 1, 0]),
  window(8, [4, 4], [24, 96], [4, 1, 0]),
  window(2, [8, 8], [16, 40], [1, 1, 0]),
  window(2, [9, 10], [17, 33], [3, 2, 1]),
  window(5, [7, 6], [31, 5], [3, 1, 1]),
  window(9, [5, 4], [32, 33], [3, 1, 1]),
  window(4, [7, 7], [33, 31], [3, 2, 1]),
  window(8, [6, 6], [64, 64], [3, 1, 1]),
  window(2, [9, 9], [50, 20], [1, 2, 0]),
  window(2, [4, 5], [6, 4], [3, 3, 3]),
  window(2, [3, 3], [4, 4], [1, 1, 2]),
  window(32, [1, 1], [128, 256], [1, 1, 0]),
  window(64, [1, 1], [12, 128], [1, 1, 0]),
  window(6, [1, 1], [37, 10], [1, 1, 0]),
  window(3, [1, 1], [64, 1000], [1, 1, 0]),
  window(32, [1, 1], [500, 10], [1, 1, 0]),
  window(64, [1, 1], [128, 1], [1, 1, 0]),
];

const title = (s: WindowShape) => `${s.n}x${s.h}x${s.w}x${s.in}->${s.out} k${s.kernel} s${s.stride} p${s.padding}`;

describe.each(inRotation(SHAPES, 0, 2).map((shape) => [title(shape), shape] as const))("%s", (_, shape) => {
  const x = uniform(inputSize(shape), 1);
  const w = uniform(weightSize(shape), 2);
  const dy = uniform(outputSize(shape), 3);

  // Every shape takes one of both variants: their texts differ in a single expression, and compiling is what takes
  // time.
  const variant = SHAPES.indexOf(shape) % 4 < 2;

  test(`convForward overwrites y${variant ? " and adds the bias" : ""}`, async () => {
    const bias = uniform(shape.out, 4);
    const y = new Float32Array(dy.length).fill(Number.NaN);
    const sums = convolution(shape, x, w);
    const values = variant ? sums.values.map((v, i) => v + bias[i % shape.out]!) : sums.values;
    const result = await runKernels(await testDevice(), convForward({ shape, bias: variant }), { x, w, bias, y });
    expectSums(result.y, { ...sums, greatest: variant ? 2 : sums.greatest, values }, "y");
  });

  test(`convInputGradient ${variant ? "accumulates" : "overwrites"}`, async () => {
    const dx = uniform(x.length, 5);
    const sums = inputGradient(shape, dy, w);
    const values = variant ? sums.values.map((v, i) => v + dx[i]!) : sums.values;
    const result = await runKernels(await testDevice(), convInputGradient({ shape, accumulate: variant }), {
      dy,
      w,
      dx,
    });
    expectSums(result.dx, { ...sums, greatest: variant ? 2 : sums.greatest, values }, "dx");
  });

  test("convWeightGradient sums over every position, the same on every run", async () => {
    const device = await testDevice();
    const dw = new Float32Array(w.length).fill(Number.NaN);
    const sequence = convWeightGradient({ shape });
    const first = await runKernels(device, sequence, { dy, x, dw });
    expectSums(first.dw, weightGradient(shape, dy, x), "dw");
    const second = await runKernels(device, sequence, { dy, x, dw });
    expect(second.dw).toEqual(first.dw);
  });
});

test("columnSum of one, few and many rows", async () => {
  const device = await testDevice();
  for (const [rows, channels] of [
    [1, 5],
    [37, 12],
    [5000, 3],
    [18_432, 12],
    [64, 1000],
  ] as const) {
    const x = uniform(rows * channels, 6);
    const expected = new Float64Array(channels);
    x.forEach((v, i) => {
      expected[i % channels]! += v;
    });
    const result = await runKernels(device, columnSum({ rows, channels }), { x, sum: new Float32Array(channels) });
    expectWithin(result.sum, expected, 8 * Math.sqrt(rows) * 2 ** -24, `sum ${rows}x${channels}`);
  }
});
