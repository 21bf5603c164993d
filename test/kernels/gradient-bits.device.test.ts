// DoReFa-Net's gradients of few bits: against the formula, each sample by its own maximum, and the noise's spread.
import { expect, test } from "vitest";
import { gradientNoise, gradientPeaks, quantiseGradient } from "../../kernels/layers/gradient-bits.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

const SIZES = [
  [1, 1],
  [3, 100],
  [2, 5000],
  [5, 63],
] as const;

test("gradientPeaks finds the largest magnitude of each sample", async () => {
  const device = await testDevice();
  for (const [n, elements] of SIZES) {
    const dy = uniform(n * elements, 1);
    const { peak } = await runKernels(device, gradientPeaks({ n, elements }), { dy, peak: new Float32Array(n) });
    const wanted = peak.map((_, s) =>
      dy.subarray(s * elements, (s + 1) * elements).reduce((m, v) => Math.max(m, Math.abs(v)), 0),
    );
    expect(peak).toEqual(wanted);
  }
});

test("quantiseGradient keeps 2^bits levels of each sample's range, and 0 where a sample has no gradient", async () => {
  const device = await testDevice();
  for (const [n, elements] of SIZES) {
    for (const bits of [1, 2, 6]) {
      const levels = 2 ** bits - 1;
      const dy = uniform(n * elements, 1).map((v, i) => (n > 1 && i < elements ? 0 : v));
      const noise = uniform(dy.length, 2).map((v) => v / 2);
      const peak = Float32Array.from({ length: n }, (_, s) =>
        dy.subarray(s * elements, (s + 1) * elements).reduce((m, v) => Math.max(m, Math.abs(v)), 0),
      );
      const before = uniform(dy.length, 3);
      const kernel = quantiseGradient({ n, elements, bits, accumulate: true });
      const { dx } = await runKernels(device, kernel, { dy, peak, noise, dx: before });
      let near = 0;
      const errors = dy.map((g, i) => {
        const most = peak[Math.floor(i / elements)]!;
        if (most === 0) return dx[i]! - before[i]!;
        const place = Math.min(1, Math.max(0, g / most / 2 + 0.5 + noise[i]! / levels)) * levels;
        // Rounding in f32 may go the other way so near to a tie.
        if (Math.abs(Math.abs(place - Math.floor(place)) - 0.5) < 1e-4) {
          near += 1;
          return 0;
        }
        return dx[i]! - (before[i]! + 2 * most * (Math.round(place) / levels - 0.5));
      });
      expectWithin(errors, new Float32Array(errors.length), 8 * 2 ** -24, `${n}x${elements} bits ${bits}`);
      expect(near).toBeLessThanOrEqual(0.01 * dy.length + 1);
    }
  }
});

test("gradientNoise is spread evenly over ±½, and is the same for the same gradient", async () => {
  const device = await testDevice();
  const size = 20_000;
  const dy = uniform(size, 1).map((v, i) => (i % 2 === 0 ? 0 : v));
  const noiseOf = async (values: Float32Array<ArrayBuffer>) =>
    (await runKernels(device, gradientNoise({ size }), { dy: values, noise: new Float32Array(size) })).noise;
  const noise = await noiseOf(dy);
  expect(await noiseOf(dy)).toEqual(noise);
  const other = await noiseOf(dy.map((v) => -v));
  expect(other.filter((v, i) => v === noise[i]).length).toBeLessThan(10);
  const tenths = new Array<number>(10).fill(0);
  for (const v of noise) tenths[Math.floor((v + 0.5) * 10)]! += 1;
  // Six standard deviations of a binomial count.
  for (const count of tenths) expect(Math.abs(count - size / 10)).toBeLessThan(6 * Math.sqrt(size * 0.09));
});
