// Batch normalisation against two-pass float64: narrow and wide channels, far means, few rows.
import { describe, expect, test } from "vitest";
import { batchNormBackward, batchNormEval, batchNormForward } from "../../kernels/batch-norm.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

const EPS = 1e-5;
/** [rows, channels, mean of the data] */
const CASES = [
  [1, 4, 0],
  [18, 33, 50],
  [18, 33, -50],
  [168, 5, 0],
  [18_432, 12, 3],
  [1000, 64, 50],
  [37, 100, 0],
] as const;

function statistics(x: ArrayLike<number>, rows: number, channels: number) {
  const mean = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let i = 0; i < rows * channels; i++) mean[i % channels]! += x[i]! / rows;
  for (let i = 0; i < rows * channels; i++) squares[i % channels]! += (x[i]! - mean[i % channels]!) ** 2;
  const invstd = squares.map((s) => 1 / Math.sqrt(s / rows + EPS));
  return { mean, invstd, variance: squares.map((s) => s / Math.max(rows - 1, 1)) };
}

describe.each(CASES)("%d rows, %d channels, mean %d", (rows, channels, center) => {
  const x = uniform(rows * channels, 1).map((v) => v + center);
  const weight = uniform(channels, 2);
  const bias = uniform(channels, 3);
  const { mean, invstd, variance } = statistics(x, rows, channels);
  // x has an error of |mean|·2⁻²⁴ against its spread, and one row has a spread of 0: invstd is then 1/√eps.
  const relative = 16 * 2 ** -24 * (1 + Math.abs(center)) * (rows === 1 ? 1 / Math.sqrt(EPS) : 4);

  test("batchNormForward and its statistics", async () => {
    const result = await runKernels(await testDevice(), batchNormForward({ rows, channels, eps: EPS }), {
      x,
      weight,
      bias,
      y: new Float32Array(x.length).fill(Number.NaN),
      mean: new Float32Array(channels).fill(Number.NaN),
      invstd: new Float32Array(channels).fill(Number.NaN),
      variance: new Float32Array(channels).fill(Number.NaN),
    });
    expectWithin(result.mean, mean, 4 * 2 ** -24 * (1 + Math.abs(center)), "mean");
    expectWithin(result.variance, variance, 16 * 2 ** -24, "variance");
    expectWithin(
      result.invstd.map((v, i) => v / invstd[i]!),
      invstd.map(() => 1),
      32 * 2 ** -24,
      "invstd, relative",
    );
    const y = Float64Array.from(x, (v, i) => {
      const c = i % channels;
      return (v - mean[c]!) * invstd[c]! * weight[c]! + bias[c]!;
    });
    expectWithin(result.y, y, relative, "y");
  });

  test("batchNormEval uses the running statistics", async () => {
    const runningMean = uniform(channels, 4);
    const runningVar = uniform(channels, 5).map((v) => v + 1.5);
    const result = await runKernels(await testDevice(), batchNormEval({ rows, channels, eps: EPS }), {
      x,
      weight,
      bias,
      runningMean,
      runningVar,
      y: new Float32Array(x.length).fill(Number.NaN),
    });
    const y = Float64Array.from(x, (v, i) => {
      const c = i % channels;
      return ((v - runningMean[c]!) / Math.sqrt(runningVar[c]! + EPS)) * weight[c]! + bias[c]!;
    });
    expectWithin(result.y, y, 16 * 2 ** -24 * (1 + Math.abs(center)), "y");
  });

  test.each([false, true])("batchNormBackward, accumulate %s", async (accumulate) => {
    const dy = uniform(x.length, 6);
    const before = uniform(x.length, 7);
    const dweight = new Float64Array(channels);
    const dbias = new Float64Array(channels);
    const normal = Float64Array.from(x, (v, i) => (v - mean[i % channels]!) * invstd[i % channels]!);
    dy.forEach((g, i) => {
      dweight[i % channels]! += g * normal[i]!;
      dbias[i % channels]! += g;
    });
    const dx = Float64Array.from(dy, (g, i) => {
      const c = i % channels;
      const value = weight[c]! * invstd[c]! * (g - dbias[c]! / rows - (normal[i]! * dweight[c]!) / rows);
      return value + (accumulate ? before[i]! : 0);
    });
    const result = await runKernels(await testDevice(), batchNormBackward({ rows, channels, accumulate }), {
      dy,
      x,
      weight,
      mean: Float32Array.from(mean),
      invstd: Float32Array.from(invstd),
      dx: before,
      dweight: new Float32Array(channels).fill(Number.NaN),
      dbias: new Float32Array(channels).fill(Number.NaN),
    });
    expectWithin(result.dweight, dweight, relative * Math.sqrt(rows), "dweight");
    expectWithin(result.dbias, dbias, 8 * 2 ** -24 * Math.sqrt(rows), "dbias");
    expectWithin(result.dx, dx, 4 * relative, "dx");
  });
});

test("a constant channel has variance 0 and finite results", async () => {
  const [rows, channels] = [100, 3];
  const result = await runKernels(await testDevice(), batchNormForward({ rows, channels, eps: EPS }), {
    x: new Float32Array(rows * channels).fill(50.1),
    weight: uniform(channels, 1),
    bias: uniform(channels, 2),
    y: new Float32Array(rows * channels),
    mean: new Float32Array(channels),
    invstd: new Float32Array(channels),
    variance: new Float32Array(channels),
  });
  expect(Math.max(...result.variance)).toBeLessThan(1e-9);
  expectWithin(
    result.y,
    Float64Array.from({ length: rows * channels }, (_, i) => uniform(channels, 2)[i % channels]!),
    1e-2,
    "y",
  );
});
