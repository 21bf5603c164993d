// Normalisation fused with what follows it, against two-pass float64: narrow and wide channels, far means, few rows.
import { describe, expect, test } from "vitest";
import { batchNorm, pooledNorm, runningNorm } from "../../kernels/layers/norm-statistics.ts";
import { type Epilogue, normalise } from "../../kernels/layers/normalise.ts";
import { normaliseBackwardInput, normaliseBackwardSums } from "../../kernels/layers/normalise-backward.ts";
import type { Packing } from "../../kernels/layers/pack-lanes.ts";
import { blockElements, blockStatistics, type MapShape } from "../../kernels/layers/sample-blocks.ts";
import { signWords } from "../../shared/model/window.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";
import { signPlanes } from "./reference.ts";

const EPS = 1e-5;
/** [n, positions, channels, mean of the data] */
const CASES = [
  [1, 1, 4, 0],
  [3, 6, 33, 50],
  [3, 6, 33, -50],
  [8, 21, 5, 0],
  [32, 576, 12, 3],
  [2, 500, 64, 50],
  [37, 1, 100, 0],
] as const;
/** SwiftShader has subgroups of 4 lanes; a ballot there fills a word in eight. */
const PACKINGS: readonly Packing[] = ["words", "lanes", "ballot"];
/** Elements beyond which packing by lanes takes a software adapter long. */
const LANES_UP_TO = 1000;
const EPILOGUES: readonly Epilogue[] = [
  { activation: "none", shortcut: false },
  { activation: "none", shortcut: true },
  { activation: "prelu", shortcut: true },
  { activation: "prelu", shortcut: false },
  { activation: "relu", shortcut: true },
  { activation: "hardtanh", shortcut: false },
];

function nan(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(length).fill(Number.NaN);
}

function statistics(x: ArrayLike<number>, rows: number, channels: number) {
  const mean = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let i = 0; i < rows * channels; i++) mean[i % channels]! += x[i]! / rows;
  for (let i = 0; i < rows * channels; i++) squares[i % channels]! += (x[i]! - mean[i % channels]!) ** 2;
  const invstd = squares.map((s) => 1 / Math.sqrt(s / rows + EPS));
  return { mean, invstd, variance: squares.map((s) => s / Math.max(rows - 1, 1)) };
}

const VALUE: Readonly<Record<Epilogue["activation"], (v: number, slope: number) => number>> = {
  none: (v) => v,
  prelu: (v, slope) => (v > 0 ? v : slope * v),
  relu: (v) => Math.max(v, 0),
  hardtanh: (v) => Math.min(1, Math.max(-1, v)),
};
const DERIVATIVE: Readonly<Record<Epilogue["activation"], (v: number, slope: number) => number>> = {
  none: () => 1,
  prelu: (v, slope) => (v > 0 ? 1 : slope),
  relu: (v) => (v > 0 ? 1 : 0),
  hardtanh: (v) => (Math.abs(v) < 1 ? 1 : 0),
};

/** The bindings among `all` that an epilogue has. */
function bound<T extends object>(
  { activation, shortcut }: Epilogue,
  all: { slope: T; shortcut: T },
): Record<string, T> {
  return {
    ...(activation === "prelu" && { slope: all.slope }),
    ...(shortcut && { shortcut: all.shortcut }),
  };
}

describe.each(CASES)("%d samples of %d positions, %d channels, mean %d", (n, positions, channels, center) => {
  const shape: MapShape = { n, positions, channels };
  const rows = n * positions;
  const x = uniform(rows * channels, 1).map((v) => v + center);
  const weight = uniform(channels, 2);
  const bias = uniform(channels, 3);
  const slope = uniform(channels, 8);
  const shortcut = uniform(x.length, 9);
  const { mean, invstd, variance } = statistics(x, rows, channels);
  const norm = Float32Array.from([...mean, ...invstd, ...weight.map((w, i) => w * invstd[i]!), ...bias]);
  // x has an error of |mean|·2⁻²⁴ against its spread, and one row has a spread of 0: invstd is then 1/√eps.
  const relative = 16 * 2 ** -24 * (1 + Math.abs(center)) * (rows === 1 ? 1 / Math.sqrt(EPS) : 4);
  // What the kernels read, so that a kink does not lie between the reference and them.
  const pre = ({ shortcut: added }: Epilogue) =>
    Float64Array.from(x, (v, i) => {
      const c = i % channels;
      const scaled = Math.fround(Math.fround(v - norm[c]!) * norm[2 * channels + c]!);
      const normal = Math.fround(scaled + bias[c]!);
      return added ? Math.fround(normal + shortcut[i]!) : normal;
    });

  test("blockStatistics and batchNorm give the norm and the batch's moments, pooledNorm each sample's mean", async () => {
    const device = await testDevice();
    const { blocks } = await runKernels(device, blockStatistics({ ...shape, squares: true }), {
      x,
      blocks: nan(blockElements(shape)),
    });
    const result = await runKernels(device, batchNorm({ ...shape, eps: EPS }), {
      blocks,
      weight,
      bias,
      norm: nan(4 * channels),
      batchMean: nan(channels),
      batchVariance: nan(channels),
    });
    expectWithin(result.batchMean, mean, 4 * 2 ** -24 * (1 + Math.abs(center)), "mean");
    expectWithin(result.batchVariance, variance, 16 * 2 ** -24, "variance");
    const row = (i: number) => result.norm.slice(i * channels, (i + 1) * channels);
    expect(row(0)).toEqual(result.batchMean);
    expectWithin(
      row(1).map((v, i) => v / invstd[i]!),
      invstd.map(() => 1),
      32 * 2 ** -24,
      "invstd, relative",
    );
    expect(row(2)).toEqual(row(1).map((v, i) => v * weight[i]!));
    expect(row(3)).toEqual(bias);

    const means = await runKernels(device, blockStatistics({ ...shape, squares: false }), {
      x,
      blocks: nan(blockElements(shape)),
    });
    const { pooled } = await runKernels(device, pooledNorm(shape), {
      blocks: means.blocks,
      norm,
      pooled: nan(n * channels),
    });
    const expected = new Float64Array(n * channels);
    x.forEach((v, i) => {
      const c = i % channels;
      const y = (v - mean[c]!) * invstd[c]! * weight[c]! + bias[c]!;
      expected[Math.floor(i / (positions * channels)) * channels + c]! += y / positions;
    });
    expectWithin(pooled, expected, relative, "pooled");
  });

  test("runningNorm", async () => {
    const runningMean = uniform(channels, 4);
    const runningVar = uniform(channels, 5).map((v) => v + 1.5);
    const result = await runKernels(await testDevice(), runningNorm({ channels, eps: EPS }), {
      weight,
      bias,
      runningMean,
      runningVar,
      norm: nan(4 * channels),
    });
    const inverse = Array.from(runningVar, (v) => 1 / Math.sqrt(v + EPS));
    const expected = [...runningMean, ...inverse, ...inverse.map((v, i) => v * weight[i]!), ...bias];
    expectWithin(result.norm, expected, 16 * 2 ** -24, "norm");
  });

  test.each(EPILOGUES)("normalise, shortcut $shortcut, activation $activation", async (epilogue) => {
    const device = await testDevice();
    const y = pre(epilogue).map((v, i) => VALUE[epilogue.activation](v, slope[i % channels]!));
    const inputs = { x, norm, ...bound(epilogue, { slope, shortcut }) };
    const bits = () => new Uint32Array(rows * signWords(channels)).fill(0xdeadbeef);
    const stored = await runKernels(device, normalise({ ...shape, ...epilogue, store: true, pack: false }), {
      ...inputs,
      y: nan(x.length),
    });
    expectWithin(stored.y, y, relative, "y");
    for (const pack of x.length <= LANES_UP_TO ? PACKINGS : PACKINGS.slice(0, 1)) {
      const packed = await runKernels(device, normalise({ ...shape, ...epilogue, store: true, pack }), {
        ...inputs,
        y: nan(x.length),
        bits: bits(),
      });
      expect(packed.y, pack).toEqual(stored.y);
      expect(packed.bits, pack).toEqual(signPlanes(stored.y, rows, channels));
      const alone = await runKernels(device, normalise({ ...shape, ...epilogue, store: false, pack }), {
        ...inputs,
        bits: bits(),
      });
      expect(alone.bits, pack).toEqual(packed.bits);
    }
  });

  test.each(EPILOGUES)("gradients, shortcut $shortcut, activation $activation", async (epilogue) => {
    const device = await testDevice();
    const { activation } = epilogue;
    const v = pre(epilogue);
    const dy = uniform(x.length, 6);
    const dPooled = uniform(n * channels, 10);
    const before = uniform(x.length, 7);
    for (const pooled of [false, true]) {
      const share = (i: number) =>
        pooled ? dPooled[Math.floor(i / (positions * channels)) * channels + (i % channels)]! / positions : 0;
      const g = Float64Array.from(dy, (d, i) => d * DERIVATIVE[activation](v[i]!, slope[i % channels]!));
      const dbn = g.map((value, i) => value + share(i));
      const sums = {
        dbias: new Float64Array(channels),
        dweight: new Float64Array(channels),
        dslope: new Float64Array(channels),
      };
      const normal = Float64Array.from(x, (value, i) => (value - mean[i % channels]!) * invstd[i % channels]!);
      dbn.forEach((value, i) => {
        sums.dbias[i % channels]! += value;
        sums.dweight[i % channels]! += value * normal[i]!;
        if (!(v[i]! > 0)) sums.dslope[i % channels]! += v[i]! * dy[i]!;
      });
      const options = { ...shape, pooled };
      const first = await runKernels(device, normaliseBackwardSums({ ...options, ...epilogue }), {
        dy,
        x,
        norm,
        ...bound(epilogue, { slope, shortcut }),
        ...(pooled && { dPooled }),
        dbias: nan(channels),
        dweight: nan(channels),
        ...(activation === "prelu" && { dslope: nan(channels) }),
      } as Record<string, Float32Array<ArrayBuffer>>);
      expectWithin(first.dy!, g, 4 * 2 ** -24, "g");
      expectWithin(first.dbias!, sums.dbias, 16 * 2 ** -24 * Math.sqrt(rows), "dbias");
      expectWithin(first.dweight!, sums.dweight, relative * Math.sqrt(rows), "dweight");
      if (activation === "prelu") expectWithin(first.dslope!, sums.dslope, relative * Math.sqrt(rows), "dslope");
      const dx = Float64Array.from(dbn, (value, i) => {
        const c = i % channels;
        return weight[c]! * invstd[c]! * (value - sums.dbias[c]! / rows - (normal[i]! * sums.dweight[c]!) / rows);
      });
      for (const target of ["in place", "fresh", "accumulate"] as const) {
        const second = await runKernels(device, normaliseBackwardInput({ ...options, target }), {
          g: first.dy!,
          x,
          norm,
          dbias: first.dbias!,
          dweight: first.dweight!,
          ...(pooled && { dPooled }),
          ...(target !== "in place" && { dx: target === "fresh" ? nan(x.length) : before }),
        } as Record<string, Float32Array<ArrayBuffer>>);
        const expected = target === "accumulate" ? dx.map((value, i) => value + before[i]!) : dx;
        expectWithin(target === "in place" ? second.x! : second.dx!, expected, 4 * relative, `dx ${target}`);
      }
    }
  });
});

test("a constant channel has variance 0 and finite results", async () => {
  const shape: MapShape = { n: 4, positions: 25, channels: 3 };
  const device = await testDevice();
  const x = new Float32Array(300).fill(50.1);
  const { blocks } = await runKernels(device, blockStatistics({ ...shape, squares: true }), {
    x,
    blocks: nan(blockElements(shape)),
  });
  const { norm, batchVariance } = await runKernels(device, batchNorm({ ...shape, eps: EPS }), {
    blocks,
    weight: uniform(3, 1),
    bias: uniform(3, 2),
    norm: nan(12),
    batchMean: nan(3),
    batchVariance: nan(3),
  });
  expect(Math.max(...batchVariance)).toBeLessThan(1e-9);
  const kernel = normalise({ ...shape, activation: "none", shortcut: false, store: true, pack: false });
  const { y } = await runKernels(device, kernel, { x, norm, y: nan(300) });
  expectWithin(
    y,
    Float64Array.from({ length: 300 }, (_, i) => uniform(3, 2)[i % 3]!),
    1e-2,
    "y",
  );
});
