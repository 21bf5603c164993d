// The 1-bit convolution against a float convolution of ±1 data, so that a mistake in packing cannot cancel: of the
// kinds of C a share for each shape, in rotation; with `npm run test:long` every one at each shape.
import { describe, expect, test } from "vitest";
import {
  binaryConvForward,
  binaryConvInputGradient,
  binaryConvWeightGradient,
} from "../../kernels/convolution/registers/binary-conv.ts";
import { packSigns } from "../../kernels/layers/pack-signs.ts";
import { type Rectify, rectifyShape, type Surrogate } from "../../shared/model/rectify.ts";
import { convolutionWindow, signWords, type WindowShape } from "../../shared/model/window.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { expectSums } from "./expect-close.ts";
import {
  convolution,
  inputGradient,
  inputSize,
  outputSize,
  rectified,
  sign,
  signPlanes,
  weightGradient,
  weightSize,
} from "./reference.ts";

const RECTIFY: readonly Rectify[] = ["kernel", "layer", "out", "filter"];
const SURROGATES: readonly Surrogate[] = ["bireal", "ste", "open"];

function derivative(surrogate: Surrogate, v: number): number {
  if (surrogate === "ste") return Math.abs(v) <= 1 ? 1 : 0;
  if (surrogate === "open") return Math.abs(v) < 1 ? 1 : 0;
  return Math.max(0, 2 - 2 * Math.abs(v));
}

/** [n, h, w, in, out, kernel, stride, padding], and groups, of which `in` and `out` are the channels. */
const SHAPES: readonly (readonly [number, number, number, number, number, number, number, number, number])[] = [
  [1, 5, 5, 1, 1, 3, 1, 1, 1],
  [2, 7, 6, 31, 5, 3, 1, 1, 1],
  [2, 8, 8, 32, 16, 3, 2, 1, 1],
  [1, 9, 7, 33, 33, 3, 2, 1, 1],
  [8, 6, 6, 64, 32, 3, 1, 1, 1],
  [8, 8, 8, 12, 24, 5, 1, 0, 1],
  [32, 4, 4, 24, 96, 4, 1, 0, 1],
  [3, 5, 5, 48, 40, 1, 1, 0, 1],
  [3, 9, 8, 40, 12, 7, 2, 3, 1],
  [17, 4, 4, 50, 20, 3, 1, 1, 1],
  [2, 6, 5, 48, 12, 3, 1, 0, 2],
  [3, 5, 4, 5, 3, 3, 2, 1, 3],
];

describe("packSigns", () => {
  test("sets bit i%32 of word i/32 where x < 0, and neither for ±0 nor beyond the last channel", async () => {
    const device = await testDevice();
    for (const [rows, channels] of [
      [1, 1],
      [3, 31],
      [5, 32],
      [4, 33],
      [2, 64],
      [7, 12],
      [3, 50],
      [2, 100],
    ] as const) {
      const x = uniformWithZeros(rows * channels, 1);
      const bits = new Uint32Array(rows * signWords(channels)).fill(0xffffffff);
      for (const how of ["words", "lanes", "ballot"] as const) {
        const result = await runKernels(device, packSigns({ rows, channels, how }), { x, bits });
        expect(result.bits, `${rows}x${channels} ${how}`).toEqual(signPlanes(x, rows, channels));
      }
    }
  });

  test("packs all negative and all positive rows", async () => {
    const device = await testDevice();
    for (const v of [-1, -0, 0, 1, -1e-40]) {
      const x = new Float32Array(70).fill(v);
      const { bits } = await runKernels(device, packSigns({ rows: 2, channels: 35 }), { x, bits: new Uint32Array(4) });
      // A denormal may be flushed to zero by the device; both readings are signs of a value that has no effect.
      const negative = v < 0 && (Math.abs(v) > 2 ** -126 || bits[0] !== 0);
      expect([...bits]).toEqual(negative ? [0xffffffff, 7, 0xffffffff, 7] : [0, 0, 0, 0]);
    }
  });
});

describe.each(SHAPES)("%dx%dx%dx%d->%d k%d s%d p%d g%d", (n, h, w, input, out, kernel, stride, padding, groups) => {
  const shape = convolutionWindow(
    { out: groups * out, kernel, stride, padding, groups },
    { n, h, w, c: groups * input },
  );
  const x = uniformWithZeros(inputSize(shape), 1);
  // Where an open slope and a closed one differ.
  x.set([1, -1], 2);
  const latent = uniformWithZeros(weightSize(shape), 2);
  const dy = uniform(outputSize(shape), 3);
  const a = signPlanes(x, x.length / input, input);
  const planes = signPlanes(latent, latent.length / input, input);
  const scales = (rectify: Rectify) =>
    uniform(
      rectifyShape(rectify, groups * out, kernel, input).reduce((p, q) => p * q, 1),
      4,
    ).map((v) => v + 1.25);

  const turn = SHAPES.findIndex((s) => s[0] === n && s[3] === input && s[4] === out);

  test.each(inRotation(RECTIFY, turn, 4))("binaryConvForward, C %s", async (rectify) => {
    const c = scales(rectify);
    const result = await runKernels(await testDevice(), binaryConvForward({ shape, rectify }), {
      a,
      w: planes,
      c,
      y: new Float32Array(dy.length).fill(Number.NaN),
    });
    expectSums(result.y, convolution(shape, x.map(sign), rectified(shape, rectify, latent, c)), "y");
  });

  // Which surrogate and whether dx accumulates turn with the shape: each kind of C meets every one.
  const cases = RECTIFY.map((rectify, i) => [rectify, SURROGATES[(turn + i) % 3]!, (turn >> 1) % 2 === 1] as const);

  test.each(inRotation(cases, turn, 2))(
    "binaryConvInputGradient, C %s, surrogate %s, accumulate %s",
    async (rectify, surrogate, accumulate) => {
      const c = scales(rectify);
      const expected = inputGradient(shape, dy, rectified(shape, rectify, latent, c));
      const dx = uniform(x.length, 5);
      const values = expected.values.map((v, i) => v * derivative(surrogate, x[i]!) + (accumulate ? dx[i]! : 0));
      const kernels = binaryConvInputGradient({ shape, rectify, surrogate, accumulate });
      const result = await runKernels(await testDevice(), kernels, { dy, w: planes, c, x, dx });
      expectSums(result.dx, { ...expected, greatest: 2 * expected.greatest, values }, "dx");
    },
  );

  test("binaryConvWeightGradient", async () => {
    const result = await runKernels(await testDevice(), binaryConvWeightGradient({ shape }), {
      dy,
      a,
      dw: new Float32Array(latent.length).fill(Number.NaN),
    });
    expectSums(result.dw, weightGradient(shape, dy, x.map(sign)), "dw");
  });
});

test("integer sums are exact where C is 1", async () => {
  const shape: WindowShape = { n: 8, h: 7, w: 7, in: 70, out: 12, kernel: 3, stride: 1, padding: 1 };
  const x = uniformWithZeros(inputSize(shape), 7);
  const latent = uniformWithZeros(weightSize(shape), 8);
  const expected = convolution(shape, x.map(sign), latent.map(sign));
  for (const rectify of RECTIFY) {
    const result = await runKernels(await testDevice(), binaryConvForward({ shape, rectify }), {
      a: signPlanes(x, x.length / 70, 70),
      w: signPlanes(latent, latent.length / 70, 70),
      c: new Float32Array(rectifyShape(rectify, 12, 3, 70).reduce((p, q) => p * q, 1)).fill(1),
      y: new Float32Array(outputSize(shape)),
    });
    expect([...result.y], rectify).toEqual([...expected.values]);
  }
});
