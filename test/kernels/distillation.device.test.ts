// Losses against another network, of logits and of feature maps, with their gradients on both sides, against the
// formulas in float64.
import { describe, expect, test } from "vitest";
import { scale } from "../../kernels/layers/scale.ts";
import { collectLoss, LOSS_STRIDE } from "../../kernels/losses/collect-loss.ts";
import { softTargetLoss } from "../../kernels/losses/soft-target-loss.ts";
import { squaredDistance } from "../../kernels/losses/squared-distance.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

const nothing = () => new Float32Array(1).fill(Number.NaN);

describe("softTargetLoss", () => {
  const cases = [
    [1, 1, 1],
    [6, 10, 1],
    [32, 10, 4],
    [5, 33, 2],
    [3, 1000, 20],
    [4, 65, 0.5],
  ].flatMap(([rows, classes, temperature]) =>
    (["cross-entropy", "divergence"] as const).flatMap((kind) =>
      (["batch", "element"] as const).map((reduce) => [kind, reduce, rows, classes, temperature] as const),
    ),
  );
  test.each(cases)("%s, per %s: %d rows, %d classes, T %d", async (kind, reduce, rows, classes, temperature) => {
    const weight = 0.7;
    const [logits, targets] = [1, 2].map((seed) => uniform(rows * classes, seed).map((v) => 6 * v));
    const [before, beforeTargets] = [3, 4].map((seed) => uniform(rows * classes, seed));
    const square = kind === "divergence" ? temperature ** 2 : 1;
    const factor = square / (reduce === "element" ? rows * classes : rows);
    const dlogits = Float64Array.from(before);
    const dtargets = Float64Array.from(beforeTargets);
    let loss = 0;
    const logSoftmax = (values: Float32Array, row: number) => {
      const z = [...values.subarray(row * classes, (row + 1) * classes)].map((v) => v / temperature);
      const top = Math.max(...z);
      const total = top + Math.log(z.reduce((sum, v) => sum + Math.exp(v - top), 0));
      return z.map((v) => v - total);
    };
    for (let row = 0; row < rows; row++) {
      const p = logSoftmax(logits, row);
      const q = logSoftmax(targets, row);
      const cost = p.map((v, i) => (kind === "divergence" ? q[i] - v : -v));
      const mean = cost.reduce((sum, v, i) => sum + Math.exp(q[i]) * v, 0);
      loss += factor * mean;
      p.forEach((v, i) => {
        const at = row * classes + i;
        dlogits[at] += (weight * factor * (Math.exp(v) - Math.exp(q[i]))) / temperature;
        dtargets[at] += (weight * factor * Math.exp(q[i]) * (cost[i] - mean)) / temperature;
      });
    }
    for (const targetGradient of [true, false]) {
      const kernels = softTargetLoss({ rows, classes, temperature, kind, reduce, weight, targetGradient });
      const result = await runKernels(await testDevice(), kernels, {
        logits,
        targets,
        dlogits: before.slice(),
        ...(targetGradient && { dtargets: beforeTargets.slice() }),
        loss: nothing(),
      });
      const bound = 4e-6 * (1 + (weight * factor) / temperature);
      expectWithin(result.dlogits, dlogits, bound, "dlogits");
      if (targetGradient) expectWithin(result.dtargets!, dtargets, 4 * bound * (1 + 12 / temperature), "dtargets");
      expectWithin(result.loss, [loss], 4e-6 * Math.max(1, factor * rows) * (1 + 12 / temperature), "loss");
    }
  });

  test("keeps a divergence that is small beside its T squared: of networks that nearly agree", async () => {
    const [rows, classes, temperature] = [3, 10, 20];
    const logits = uniform(rows * classes, 1).map((v) => 3 * v);
    const targets = logits.map((v, i) => v + 0.1 * Math.sin(i));
    let expected = 0;
    for (let row = 0; row < rows; row++) {
      const [p, q] = [logits, targets].map((values) => {
        const powers = [...values.subarray(row * classes, (row + 1) * classes)].map((v) => Math.exp(v / temperature));
        const total = powers.reduce((a, b) => a + b, 0);
        return powers.map((v) => v / total);
      });
      expected += q.reduce((sum, v, i) => sum + (v * Math.log(v / p[i]) * temperature ** 2) / rows, 0);
    }
    const shape = { rows, classes, temperature, reduce: "batch", weight: 1, targetGradient: false } as const;
    const { loss } = await runKernels(await testDevice(), softTargetLoss({ ...shape, kind: "divergence" }), {
      logits,
      targets,
      dlogits: new Float32Array(rows * classes),
      loss: nothing(),
    });
    // The logits' own roundings, divided by T, are 2⁻²⁴ of their size beside differences of 1/200.
    expectWithin(loss, [expected], 2e-3 * expected, "loss");
  });

  test("is finite, and no divergence is below 0, for logits far apart and for the same ones", async () => {
    const far = new Float32Array([1e4, -1e4, 0, 5, 5, -5]);
    for (const targets of [far, far.toReversed()]) {
      const shape = { rows: 2, classes: 3, temperature: 1, reduce: "batch", weight: 1, targetGradient: true } as const;
      const { dlogits, dtargets, loss } = await runKernels(
        await testDevice(),
        softTargetLoss({ ...shape, kind: "divergence" }),
        { logits: far, targets, dlogits: new Float32Array(6), dtargets: new Float32Array(6), loss: nothing() },
      );
      for (const value of [...dlogits, ...dtargets, ...loss]) expect(Number.isFinite(value)).toBe(true);
      expect(loss[0]).toBeGreaterThanOrEqual(0);
    }
  });
});

describe("squaredDistance", () => {
  const cases = [1, 7, 64, 5000, 70_000].flatMap((size) => [0, 1, 2, 8].map((bits) => [size, bits] as const));
  test.each(cases)("%d elements, the other's of %d bits", async (size, bits) => {
    const [factor, weight, levels] = [0.5 / 3, 0.1, 2 ** bits - 1];
    const x = uniform(size, 1);
    const target = uniform(size, 2).map((v) => 1.5 * v);
    const quantised = target.map((t) => {
      if (bits === 0) return t;
      // The device's own product, so that neither rounds another value.
      const level = Math.fround(levels * Math.min(1, Math.max(0, t)));
      const down = Math.floor(level);
      const up = level - down > 0.5 || (level - down === 0.5 && down % 2 === 1);
      return (up ? down + 1 : down) / levels;
    });
    const gradient = Float64Array.from(x, (v, i) => 2 * weight * factor * (v - quantised[i]));
    const mirrored = gradient.map((g, i) => (bits > 0 && (target[i] < 0 || target[i] > 1) ? 0 : -g));
    const loss = x.reduce((sum, v, i) => sum + factor * (v - quantised[i]) ** 2, 0);
    const kernels = squaredDistance({
      size,
      factor,
      weight,
      bits,
      otherGradient: true,
      accumulate: false,
      accumulateOther: true,
    });
    const result = await runKernels(await testDevice(), kernels, {
      x,
      other: target,
      dx: new Float32Array(size).fill(Number.NaN),
      dother: new Float32Array(size).fill(1),
      loss: nothing(),
    });
    expectWithin(result.dx, gradient, 2e-7, "dx");
    expectWithin(
      result.dother,
      Float64Array.from(mirrored, (g) => 1 + g),
      2e-7,
      "dother",
    );
    expectWithin(result.loss, [loss], 2e-6 * Math.max(1, loss), "loss");
  });

  test("with the other held constant, adds to the gradient that is there", async () => {
    const kernels = squaredDistance({
      size: 2,
      factor: 1,
      weight: 1,
      bits: 0,
      otherGradient: false,
      accumulate: true,
    });
    const { dx, loss } = await runKernels(await testDevice(), kernels, {
      x: Float32Array.of(3, 1),
      other: Float32Array.of(1, 1),
      dx: Float32Array.of(10, 20),
      loss: nothing(),
    });
    expect([...dx]).toEqual([14, 20]);
    expect([...loss]).toEqual([4]);
  });
});

test("collectLoss puts the scaled sum of a loss's terms at its place, and leaves the others alone", async () => {
  const terms = new Float32Array(3 * LOSS_STRIDE).fill(1000);
  [1, 2, 4].forEach((term, i) => {
    terms[i * LOSS_STRIDE] = term;
  });
  const { metrics } = await runKernels(await testDevice(), collectLoss({ at: 1, terms: 3, scale: 0.5 }), {
    terms,
    metrics: Float32Array.of(7, 8, 9),
  });
  expect([...metrics]).toEqual([7, 3.5, 9]);
});

test.each([3, 8])("scale multiplies a tensor of %d where it stands", async (size) => {
  const y = uniform(size, 1);
  const result = await runKernels(await testDevice(), scale({ size, factor: 0.5 }), { y: y.slice() });
  expect([...result.y]).toEqual([...y.map((v) => v / 2)]);
});
