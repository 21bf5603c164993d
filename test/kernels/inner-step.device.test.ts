// The kernels of the inner steps of `sync: local`, against the optimizers and methods that the coordinator computes in
// double.
import { describe, expect, test } from "vitest";
import { addWeighted } from "../../kernels/layers/elementwise.ts";
import { adamUpdate } from "../../kernels/steps/adam-update.ts";
import { checksum, checksumOf } from "../../kernels/steps/checksum.ts";
import { latentGradient } from "../../kernels/steps/latent-gradient.ts";
import { pseudoGradient, weighted } from "../../kernels/steps/pseudo-gradient.ts";
import { runningStatistic } from "../../kernels/steps/running-statistic.ts";
import { sgdUpdate } from "../../kernels/steps/sgd-update.ts";
import { type KernelGradient, rbcnGradients } from "../../shared/model/methods/rbcn.ts";
import { adamStep, sgdStep } from "../../shared/model/optimizer.ts";
import { type Rectify, rectifyShape } from "../../shared/model/rectify.ts";
import { runningStatistic as runningReference } from "../../shared/model/running-statistic.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

const SIZES = [1, 3, 64, 130, 1000] as const;

describe("sgdUpdate", () => {
  test.each(SIZES)("three steps on %d elements are sgdStep's, with a rate that changes", async (size) => {
    const expected = { parameter: uniform(size, 1), momentum: new Float32Array(size) };
    let actual = { parameter: uniform(size, 1), momentum: new Float32Array(size) };
    for (const [step, learningRate] of [0.5, 0.25, 0.0625].entries()) {
      const gradient = uniform(size, 10 + step);
      sgdStep(expected.parameter, gradient, expected.momentum, {
        learningRate,
        momentum: 0.9,
        weightDecay: 0.01,
        nesterov: false,
      });
      const rates = new Float32Array(8);
      rates[5] = learningRate;
      const kernel = sgdUpdate({ size, momentum: 0.9, weightDecay: 0.01, rate: 5 });
      actual = await runKernels(await testDevice(), kernel, { ...actual, gradient, rates });
    }
    expectWithin(actual.momentum, expected.momentum, 1e-6, "momentum");
    expectWithin(actual.parameter, expected.parameter, 1e-6, "parameter");
  });

  test("a bound holds where a step would leave it, and only there", async () => {
    const parameter = Float32Array.of(0.9, -0.9, 0.5, 0);
    const gradient = Float32Array.of(-1, 1, 0.25, 0);
    const result = await runKernels(
      await testDevice(),
      sgdUpdate({ size: 4, momentum: 0, weightDecay: 0, rate: 0, bound: 1 }),
      { parameter, gradient, momentum: new Float32Array(4), rates: Float32Array.of(1) },
    );
    expect(result.parameter).toEqual(Float32Array.of(1, -1, 0.25, 0));
  });
});

describe("adamUpdate", () => {
  test.each(SIZES)("three steps on %d elements are adamStep's behind a decoupled decay", async (size) => {
    const betas = [0.9, 0.999] as const;
    const learningRate = 0.01;
    const decay = 0.125;
    const expected = { parameter: uniform(size, 1), first: new Float32Array(size), second: new Float32Array(size) };
    let actual = { parameter: uniform(size, 1), first: new Float32Array(size), second: new Float32Array(size) };
    for (let step = 1; step <= 3; step++) {
      const gradient = uniformWithZeros(size, 20 + step);
      // AdamW: p shrinks by the decay, then takes Adam's step.
      for (let i = 0; i < size; i++) expected.parameter[i] *= 1 - learningRate * decay;
      adamStep(expected.parameter, gradient, expected.first, expected.second, step, { learningRate, betas });
      const rates = new Float32Array(8);
      rates.set([learningRate / (1 - betas[0] ** step), 1 / Math.sqrt(1 - betas[1] ** step), learningRate * decay], 4);
      const kernel = adamUpdate({ size, betas, epsilon: 1e-8, at: 4 });
      actual = await runKernels(await testDevice(), kernel, { ...actual, gradient, rates });
    }
    expectWithin(actual.first, expected.first, 1e-6, "first moment");
    expectWithin(actual.second, expected.second, 1e-6, "second moment");
    expectWithin(actual.parameter, expected.parameter, 2e-6, "parameter");
  });

  test("what has no gradient and no decay stays as it is", async () => {
    const parameter = uniform(64, 1);
    const result = await runKernels(
      await testDevice(),
      adamUpdate({ size: 64, betas: [0.5, 0.999], epsilon: 1e-8, at: 0, bound: 1 }),
      {
        parameter,
        gradient: new Float32Array(64),
        first: new Float32Array(64),
        second: new Float32Array(64),
        rates: Float32Array.of(1, 1, 0),
      },
    );
    expect(result.parameter).toEqual(parameter);
  });
});

describe("latentGradient", () => {
  const RECTIFY: readonly Rectify[] = ["kernel", "layer", "out", "filter"];
  const GRADIENTS: readonly KernelGradient[] = ["direct", "both", "literal"];
  const SIZES = [
    [8, 3, 6],
    [24, 5, 12],
    [5, 1, 33],
  ] as const;
  test.each(RECTIFY.flatMap((r) => GRADIENTS.flatMap((g) => SIZES.map((s) => [r, g, ...s] as const))))(
    "C %s, L_Kernel %s, out %d, kernel %d, in %d: what rbcnGradients gives",
    async (rectify, kernelGradient, out, kernel, input) => {
      const lambda = 0.25;
      const rectifierShape = rectifyShape(rectify, out, kernel, input);
      const weight = uniformWithZeros(out * kernel * kernel * input, 1);
      const gradient = uniform(weight.length, 3);
      const c = uniform(
        rectifierShape.reduce((a, b) => a * b, 1),
        2,
      ).map((v) => v + 1);
      const expected = rbcnGradients(
        {
          shape: [out, kernel, kernel, input],
          weight,
          rectifier: c,
          rectifierShape,
          gradient: Float64Array.from(gradient),
        },
        { kernelGradient, lambdaKernel: lambda },
      );
      const result = await runKernels(
        await testDevice(),
        latentGradient({ out, kernel, in: input, rectify, lambda, kernelGradient }),
        { gradient, weight, c, dc: new Float32Array(c.length).fill(Number.NaN) },
      );
      expectWithin(result.gradient, expected.weight, 2e-6, "dW");
      expectWithin(result.dc, expected.rectifier, (16 * 2 ** -24 * weight.length) / c.length + 1e-6, "dC");
    },
  );
});

test.each(SIZES)("runningStatistic, pseudoGradient, weighted and addWeighted of %d elements", async (size) => {
  const device = await testDevice();
  const [a, b] = [uniform(size, 1), uniform(size, 2)];
  const { running } = await runKernels(device, runningStatistic({ size }), { running: a, batch: b });
  expectWithin(running, runningReference(a, b), 2e-7, "running");
  const rates = Float32Array.of(0, 0, 96);
  const bindings = { origin: a, replica: b, rates, delta: new Float32Array(size) };
  const { delta } = await runKernels(device, pseudoGradient({ size, weight: 2 }), bindings);
  expect(delta).toEqual(a.map((v, i) => 96 * (v - b[i])));
  const scaled = await runKernels(device, weighted({ size, weight: 2 }), { x: a, rates, y: new Float32Array(size) });
  expect(scaled.y).toEqual(a.map((v) => 96 * v));
  const sum = await runKernels(device, addWeighted({ size, weight: 8 }), { x: a, y: b });
  expect(sum.y).toEqual(a.map((v, i) => 8 * v + b[i]));
});

describe("checksum", () => {
  const words = (length: number) => new Uint32Array(uniform(length, 4).buffer);
  const sumsOf = async (data: Uint32Array<ArrayBuffer>) => {
    const { sums } = await runKernels(await testDevice(), checksum({ words: data.length }), {
      data,
      sums: new Uint32Array(2),
    });
    return [...sums];
  };

  test.each([1, 63, 64, 5000, 40_001])("of %d words is what the processor makes of them", async (length) => {
    expect(await sumsOf(words(length))).toEqual(checksumOf(words(length)));
  });

  test("tells any flipped bit, and two words that changed places", () => {
    const data = words(300);
    const sums = checksumOf(data);
    for (let bit = 0; bit < 32; bit++) {
      const flipped = data.slice();
      flipped[(37 * bit) % 300] ^= 1 << bit;
      expect(checksumOf(flipped)[0]).not.toBe(sums[0]);
      expect(checksumOf(flipped)[1]).not.toBe(sums[1]);
    }
    const swapped = data.slice();
    [swapped[5], swapped[9]] = [data[9], data[5]];
    expect(checksumOf(swapped)).not.toEqual(sums);
  });
});
