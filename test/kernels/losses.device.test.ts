// Task, adversarial and kernel losses with their gradients against the formulas in float64.
import { describe, test } from "vitest";
import { memberStride } from "../../kernels/layers/grouped-linear.ts";
import { adversarialLoss } from "../../kernels/losses/adversarial-loss.ts";
import { balancedLogistic } from "../../kernels/losses/balanced-logistic.ts";
import { criticAnswers } from "../../kernels/losses/critic-answers.ts";
import { kernelLoss } from "../../kernels/losses/kernel-loss.ts";
import { softmaxCrossEntropy } from "../../kernels/losses/softmax-cross-entropy.ts";
import { type Rectify, rectifyShape } from "../../shared/model/rectify.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { expectWithin } from "./expect-close.ts";
import { scaleIndex, sign } from "./reference.ts";

describe("softmaxCrossEntropy", () => {
  test.each([
    [1, 1, 0],
    [6, 10, 0],
    [32, 10, 0.1],
    [3, 1000, 0.1],
    [5, 65, 0],
  ])("n %d, %d classes, smoothing %d", async (n, classes, labelSmoothing) => {
    const logits = uniform(n * classes, 1).map((v) => 10 * v);
    const labels = Uint32Array.from({ length: n }, (_, i) => (7 * i + 3) % classes);
    const dlogits = new Float64Array(n * classes);
    const metrics = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      const row = [...logits.subarray(i * classes, (i + 1) * classes)];
      const largest = Math.max(...row);
      const logTotal = largest + Math.log(row.reduce((sum, z) => sum + Math.exp(z - largest), 0));
      const label = labels[i]!;
      const rank = row.filter((z, c) => z > row[label]! || (z === row[label]! && c < label)).length;
      metrics[1]! += (rank < 1 ? 1 : 0) / n;
      metrics[2]! += (rank < 5 ? 1 : 0) / n;
      row.forEach((z, c) => {
        const target = (c === label ? 1 - labelSmoothing : 0) + labelSmoothing / classes;
        metrics[0]! += (target * (logTotal - z)) / n;
        dlogits[i * classes + c] = (Math.exp(z - logTotal) - target) / n;
      });
    }
    const result = await runKernels(await testDevice(), softmaxCrossEntropy({ n, classes, labelSmoothing }), {
      logits,
      labels,
      dlogits: new Float32Array(n * classes).fill(Number.NaN),
      metrics: new Float32Array(3).fill(Number.NaN),
    });
    expectWithin(result.dlogits, dlogits, 2e-6 / n, "dlogits");
    expectWithin(result.metrics, metrics, 2e-5, "metrics");
  });

  test("is finite for logits far apart, and counts a tie for the lower class", async () => {
    const { dlogits, metrics } = await runKernels(
      await testDevice(),
      softmaxCrossEntropy({ n: 2, classes: 3, labelSmoothing: 0 }),
      {
        logits: new Float32Array([1e4, -1e4, 0, 5, 5, -5]),
        labels: new Uint32Array([1, 1]),
        dlogits: new Float32Array(6),
        metrics: new Float32Array(3),
      },
    );
    expectWithin(dlogits, [0.5, -0.5, 0, 0.25, -0.25, 1.1e-5], 1.2e-5, "dlogits");
    expectWithin(metrics, [(2e4 + Math.log(2)) / 2, 0, 1], 1e-2, "metrics");
  });
});

describe("adversarialLoss", () => {
  const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
  const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

  test.each([
    [1, 1, 0.5],
    [3, 32, 0.5],
    [2, 100, 3],
    [5, 7, 0],
  ] as const)("%d layers, n %d, lambda %d, logits up to ±200", async (layers, n, lambda) => {
    const stride = memberStride(n, 1);
    const logits = uniform(2 * layers * stride, 1).map((v, i) => (i % 5 === 0 ? 200 : 6) * v);
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / n;
    const result = await runKernels(await testDevice(), adversarialLoss({ layers, n, weight: 0.5, lambda }), {
      logits,
      dlogits: new Float32Array(2 * layers * stride).fill(Number.NaN),
      ...(lambda > 0 && { turn: new Float32Array(layers * stride).fill(Number.NaN) }),
      metrics: new Float32Array(2 * layers).fill(Number.NaN),
    });
    for (let layer = 0; layer < layers; layer++) {
      const rows = (values: Float32Array, member: number) => [...values.subarray(member * stride, member * stride + n)];
      const real = rows(logits, 2 * layer);
      const fake = rows(logits, 2 * layer + 1);
      const dLoss = mean(real.map((r) => softplus(-r))) + mean(fake.map(softplus));
      const gLoss = mean(fake.map((t) => sigmoid(-t) ** 2));
      const dFake = rows(result.dlogits, 2 * layer + 1);
      const dReal = real.map((r) => (-0.5 * sigmoid(-r)) / n);
      expectWithin(rows(result.dlogits, 2 * layer), dReal, 1e-6 / n, "dlogits of the teacher");
      expectWithin(
        dFake,
        fake.map((t) => (0.5 * sigmoid(t)) / n),
        1e-6 / n,
        "dlogits of the student",
      );
      if (lambda > 0) {
        const turned = rows(result.turn!, layer).map((turn, i) => turn * dFake[i]!);
        const generator = fake.map((t) => (-lambda * sigmoid(t) * sigmoid(-t) ** 2) / n);
        expectWithin(turned, generator, (2e-6 * lambda) / n, "dlogits of the generator");
      }
      const metrics = result.metrics.subarray(2 * layer, 2 * layer + 2);
      expectWithin(metrics, [dLoss, gLoss], 1e-5 * (1 + dLoss), "metrics");
    }
  });
});

describe("criticAnswers", () => {
  test.each([
    [1, 1],
    [3, 32],
    [2, 100],
  ])("%d layers, n %d, logits up to ±200", async (layers, n) => {
    const stride = memberStride(n, 1);
    const logits = uniform(2 * layers * stride, 1).map((v, i) => (i % 5 === 0 ? 200 : 6) * v);
    const before = 3;
    const metrics = new Float32Array(before + 2 * layers).fill(7);
    const result = await runKernels(await testDevice(), criticAnswers({ layers, n, at: before }), { logits, metrics });
    const means = Array.from({ length: 2 * layers }, (_, member) => {
      const row = logits.subarray(member * stride, member * stride + n);
      return row.reduce((sum, z) => sum + 1 / (1 + Math.exp(-z)), 0) / n;
    });
    expectWithin(result.metrics, [7, 7, 7, ...means], 1e-6, "answers");
  });
});

describe("kernelLoss", () => {
  const RECTIFY: readonly Rectify[] = ["kernel", "layer", "out", "filter"];
  const SIZES = [
    [8, 3, 6],
    [24, 5, 12],
    [96, 4, 24],
    [5, 1, 33],
    [64, 3, 64],
  ] as const;
  test.each(RECTIFY.flatMap((r) => SIZES.map((s) => [r, ...s] as const)))(
    "C %s, out %d, kernel %d, in %d",
    async (rectify, out, kernel, input) => {
      const lambda = 0.01;
      const shape = { n: 1, h: kernel, w: kernel, in: input, out, kernel, stride: 1, padding: 0 };
      const weight = uniformWithZeros(out * kernel * kernel * input, 1);
      const c = uniform(
        rectifyShape(rectify, out, kernel, input).reduce((a, b) => a * b, 1),
        2,
      ).map((v) => v + 1);
      const dc = new Float64Array(c.length);
      let loss = 0;
      const dweight = Float64Array.from(weight, (w, i) => {
        const e = scaleIndex(shape, rectify, i);
        const difference = w - c[e]! * sign(w);
        loss += (lambda / 2) * difference ** 2;
        dc[e]! -= lambda * sign(w) * difference;
        return lambda * difference;
      });
      const result = await runKernels(await testDevice(), kernelLoss({ out, kernel, in: input, rectify, lambda }), {
        weight,
        c,
        loss: new Float32Array(1).fill(Number.NaN),
        dweight: new Float32Array(weight.length).fill(Number.NaN),
        dc: new Float32Array(c.length).fill(Number.NaN),
      });
      expectWithin(result.dweight, dweight, lambda * 4 * 2 ** -24, "dweight");
      expectWithin(result.dc, dc, lambda * 16 * (weight.length / c.length) * 2 ** -24, "dc");
      expectWithin(result.loss, [loss], 1e-5 * loss, "loss");
    },
  );
});

describe("balancedLogistic", () => {
  test.each([
    [1, 17, 17, 2, 1],
    [3, 15, 15, 2, 4],
    // Even sides: the centre lies between cells; a radius of half cells; scores that underflow; one class alone.
    [2, 9, 4, 2.5, 90],
    [9, 3, 3, 1, 1],
    [2, 2, 3, 7, 1],
  ])("n %d, %d by %d, radius %d, scores to %d", async (n, h, w, radius, spread) => {
    const scores = uniform(n * h * w, 1).map((v) => spread * v);
    // Of equal maxima the first one counts: here it is the corner.
    scores.fill(1.5 * spread, 0, h * w);
    const cells = (i: number) =>
      Math.abs(Math.floor((i % (h * w)) / w) - (h - 1) / 2) + Math.abs((i % w) - (w - 1) / 2);
    const targets = Array.from({ length: h * w }, (_, i) => cells(i) <= radius).filter(Boolean).length;
    const dscores = new Float64Array(scores.length);
    const metrics = [0, 0, 0];
    for (let sample = 0; sample < n; sample++) {
      const from = sample * h * w;
      const own = [...scores.subarray(from, from + h * w)];
      own.forEach((v, i) => {
        const y = cells(i) <= radius ? 1 : -1;
        const weight = 0.5 / (y > 0 ? targets : h * w - targets);
        metrics[0]! += (weight * (Math.max(-y * v, 0) + Math.log1p(Math.exp(-Math.abs(v))))) / n;
        dscores[from + i] = (-y * weight) / (1 + Math.exp(y * v)) / n;
      });
      const peak = cells(own.indexOf(Math.max(...own)));
      if (peak <= 2) metrics[1]! += 1 / n;
      if (peak <= 4) metrics[2]! += 1 / n;
    }
    const result = await runKernels(await testDevice(), balancedLogistic({ n, h, w, radius, within: [2, 4] }), {
      scores,
      dscores: new Float32Array(scores.length).fill(Number.NaN),
      metrics: new Float32Array(3).fill(Number.NaN),
    });
    expectWithin(result.dscores, dscores, 1e-6 / n, "dscores");
    expectWithin(result.metrics, metrics, 2e-6 * spread, "metrics");
  });
});
