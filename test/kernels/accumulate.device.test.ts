// The lease's accumulators: integer levels, clipping, peaks by tensor, and what happens to values that are not finite.
import { describe, expect, test } from "vitest";
import { accumulateExact, accumulateFloat } from "../../kernels/steps/accumulate.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";

const size = 64 * 300;
/** Tensors of 1, 2, 3, … blocks. */
const segments = new Uint32Array(size / 64);
for (let block = 0, tensor = 0; block < segments.length; tensor++) {
  for (let i = 0; i <= tensor && block < segments.length; i++) segments[block++] = tensor;
}
const tensors = segments.at(-1)! + 1;
const bitsOf = (v: number) => new Uint32Array(new Float32Array([v]).buffer)[0]!;

function peaks(v: ArrayLike<number>, before: Uint32Array): Uint32Array {
  const peak = before.slice();
  for (let i = 0; i < size; i++) {
    const t = segments[i >> 6]!;
    peak[t] = Math.max(peak[t]!, bitsOf(Math.abs(v[i]!)));
  }
  return peak;
}

describe("accumulateExact", () => {
  test("adds clipped, rounded levels and raises each tensor's peak", async () => {
    const weight = 32;
    const clip = 2 ** 20 - 1;
    const gradient = uniform(size, 1).map((v) => Math.fround(v * 3));
    const scale = Float32Array.from({ length: tensors }, (_, t) => 2 ** (8 + (t % 9)));
    const sum = Int32Array.from({ length: size }, (_, i) => i - 5000);
    const peak = new Uint32Array(tensors).fill(bitsOf(95.97));
    const result = await runKernels(await testDevice(), accumulateExact({ size, weight, clip }), {
      gradient,
      segments,
      scale,
      sum,
      peak,
    });
    const levels = Int32Array.from(gradient, (g, i) => {
      const level = g * weight * scale[segments[i >> 6]!]!;
      // Half to even, as WGSL rounds.
      const floor = Math.floor(level);
      const rounded = level - floor === 0.5 ? 2 * Math.round(level / 2) : Math.round(level);
      return sum[i]! + Math.min(clip, Math.max(-clip, rounded));
    });
    expect(levels.some((l, i) => l - sum[i]! === clip)).toBe(true);
    expect(result.sum).toEqual(levels);
    expect(result.peak).toEqual(
      peaks(
        gradient.map((g) => g * weight),
        peak,
      ),
    );
  });

  test("adds 0 for NaN and infinities, whose peak says so", async () => {
    const gradient = uniform(size, 2);
    gradient[64 * 3 + 5] = Number.NaN;
    gradient[64 * 10] = Number.NEGATIVE_INFINITY;
    gradient[64 * 21 + 63] = 3e38;
    const result = await runKernels(await testDevice(), accumulateExact({ size, weight: 4, clip: 1000 }), {
      gradient,
      segments,
      scale: new Float32Array(tensors).fill(64),
      sum: new Int32Array(size),
      peak: new Uint32Array(tensors),
    });
    for (const i of [64 * 3 + 5, 64 * 10, 64 * 21 + 63]) {
      expect(result.sum[i]).toBe(0);
      expect(result.peak[segments[i >> 6]!]).toBeGreaterThanOrEqual(0x7f800000);
    }
    expect(result.peak.filter((p) => p >= 0x7f800000).length).toBe(3);
  });

  test("refuses sizes and clips that break the arena or the integers", () => {
    expect(() => accumulateExact({ size: 65, weight: 1, clip: 1 })).toThrow("size 65");
    expect(() => accumulateExact({ size: 64, weight: 1, clip: 2 ** 24 + 1 })).toThrow("clip 16777217");
    expect(() => accumulateExact({ size: 64, weight: 1, clip: 2 ** 31 })).toThrow("clip 2147483648");
  });
});

test("accumulateFloat adds gradient·weight and raises the same peaks", async () => {
  const gradient = uniform(size, 3);
  const sum = uniform(size, 4);
  const result = await runKernels(await testDevice(), accumulateFloat({ size, weight: 8 }), {
    gradient,
    segments,
    sum,
    peak: new Uint32Array(tensors),
  });
  expect(result.sum).toEqual(sum.map((s, i) => Math.fround(s + gradient[i]! * 8)));
  expect(result.peak).toEqual(
    peaks(
      gradient.map((g) => g * 8),
      new Uint32Array(tensors),
    ),
  );
});
