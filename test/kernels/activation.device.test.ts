// Activations and their gradients, with the values at the kinks that PyTorch gives.
import { test } from "vitest";
import {
  type ActivationKind,
  activationBackward,
  activationForward,
  preluBackward,
  preluForward,
} from "../../kernels/layers/activation.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

test("preluForward and preluBackward take the slope at x ≤ 0 and sum dweight over rows", async () => {
  const device = await testDevice();
  for (const [rows, channels] of [
    [1, 1],
    [40, 9],
    [18_432, 12],
    [50, 33],
    [7, 96],
  ] as const) {
    const x = uniformWithZeros(rows * channels, 1);
    const dy = uniform(rows * channels, 2);
    const weight = uniform(channels, 3);
    const forward = await runKernels(device, preluForward({ rows, channels }), {
      x,
      weight,
      y: new Float32Array(x.length),
    });
    expectWithin(
      forward.y,
      Float64Array.from(x, (v, i) => (v > 0 ? v : v * weight[i % channels]!)),
      2 ** -24,
      "y",
    );
    for (const accumulate of [false, true]) {
      const before = uniform(x.length, 4);
      const dweight = new Float64Array(channels);
      x.forEach((v, i) => {
        if (!(v > 0)) dweight[i % channels]! += v * dy[i]!;
      });
      const dx = Float64Array.from(
        dy,
        (g, i) => (x[i]! > 0 ? g : g * weight[i % channels]!) + (accumulate ? before[i]! : 0),
      );
      const result = await runKernels(device, preluBackward({ rows, channels, accumulate }), {
        dy,
        x,
        weight,
        dx: before,
        dweight: new Float32Array(channels).fill(Number.NaN),
      });
      expectWithin(result.dx, dx, 4 * 2 ** -24, `dx ${rows}x${channels} accumulate ${accumulate}`);
      expectWithin(result.dweight, dweight, 16 * Math.sqrt(rows) * 2 ** -24, `dweight ${rows}x${channels}`);
    }
  }
});

const DEFINITIONS: Readonly<Record<ActivationKind, readonly [(v: number) => number, (v: number) => number]>> = {
  relu: [(v) => Math.max(v, 0), (v) => (v > 0 ? 1 : 0)],
  hardtanh: [(v) => Math.min(1, Math.max(-1, v)), (v) => (v > -1 && v < 1 ? 1 : 0)],
};

test.each(Object.keys(DEFINITIONS) as ActivationKind[])("%s", async (kind) => {
  const device = await testDevice();
  const [value, derivative] = DEFINITIONS[kind];
  for (const size of [1, 63, 64, 1030]) {
    const x = uniformWithZeros(size, 1);
    x.set([1, -1].slice(0, size));
    const dy = uniform(size, 2);
    const forward = await runKernels(device, activationForward({ kind, size }), {
      x,
      y: new Float32Array(size),
    });
    expectWithin(forward.y, Float64Array.from(x, value), 2 ** -24, `${kind} ${size}`);
    for (const accumulate of [false, true]) {
      const before = uniform(size, 3);
      const kernel = activationBackward({ kind, size, accumulate });
      const result = await runKernels(device, kernel, { dy, x, dx: before });
      const dx = Float64Array.from(dy, (g, i) => g * derivative(x[i]!) + (accumulate ? before[i]! : 0));
      expectWithin(result.dx, dx, 4 * 2 ** -24, `${kind} gradient ${size}`);
    }
  }
});
