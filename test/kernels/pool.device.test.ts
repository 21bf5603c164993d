// Pooling against plain loops: overlapping windows, padding, ties, and gradients in gather form.
import { describe, expect, test } from "vitest";
import {
  globalAveragePoolBackward,
  globalAveragePoolForward,
  type PoolKind,
  poolBackward,
  poolForward,
} from "../../kernels/layers/pool.ts";
import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";
import { inputSize, outputSize } from "./reference.ts";

/** Visits every window with the flat indices of its elements in scan order. */
function eachWindow(s: WindowShape, visit: (output: number, elements: readonly number[]) => void): void {
  for (let n = 0; n < s.n; n++) {
    for (let oy = 0; oy < outputHeight(s); oy++) {
      for (let ox = 0; ox < outputWidth(s); ox++) {
        for (let c = 0; c < s.in; c++) {
          const elements: number[] = [];
          for (let ky = 0; ky < s.kernel; ky++) {
            for (let kx = 0; kx < s.kernel; kx++) {
              const y = oy * s.stride + ky - s.padding;
              const x = ox * s.stride + kx - s.padding;
              if (y >= 0 && y < s.h && x >= 0 && x < s.w) elements.push(((n * s.h + y) * s.w + x) * s.in + c);
            }
          }
          visit(((n * outputHeight(s) + oy) * outputWidth(s) + ox) * s.in + c, elements);
        }
      }
    }
  }
}

/** The first greatest element, as PyTorch's max_pool2d takes it. */
function argmax(x: ArrayLike<number>, elements: readonly number[]): number {
  return elements.reduce((best, i) => (x[i]! > x[best]! ? i : best));
}

/** [n, h, w, channels, kernel, stride, padding] */
const SHAPES = [
  [2, 24, 24, 12, 2, 2, 0],
  [2, 9, 8, 5, 3, 2, 1],
  [2, 8, 6, 5, 2, 2, 0],
  [1, 7, 7, 64, 3, 2, 1],
  [3, 7, 5, 4, 2, 2, 0],
  [1, 6, 6, 1, 3, 1, 1],
  [2, 8, 8, 8, 2, 3, 0],
] as const;
const KINDS: readonly PoolKind[] = ["max", "avg"];

describe.each(SHAPES)("%dx%dx%dx%d k%d s%d p%d", (n, h, w, channels, kernel, stride, padding) => {
  const shape: WindowShape = { n, h, w, in: channels, out: channels, kernel, stride, padding };
  // Few distinct values, so that windows have ties.
  const x = uniform(inputSize(shape), 1).map((v) => Math.round(v * 4) / 4 - 2);
  const dy = uniform(outputSize(shape), 2);

  test.each(KINDS)("poolForward %s", async (kind) => {
    const expected = new Float64Array(dy.length);
    eachWindow(shape, (o, elements) => {
      expected[o] =
        kind === "max" ? x[argmax(x, elements)]! : elements.reduce((sum, i) => sum + x[i]!, 0) / kernel ** 2;
    });
    const result = await runKernels(await testDevice(), poolForward({ shape, kind }), {
      x,
      y: new Float32Array(dy.length),
    });
    expectWithin(result.y, expected, kind === "max" ? 0 : 2 ** -20, "y");
  });

  test.each(KINDS)("poolBackward %s", async (kind) => {
    const device = await testDevice();
    const gradient = new Float64Array(x.length);
    eachWindow(shape, (o, elements) => {
      if (kind === "max") gradient[argmax(x, elements)]! += dy[o]!;
      else for (const i of elements) gradient[i]! += dy[o]! / kernel ** 2;
    });
    const before = uniform(x.length, 3);
    for (const accumulate of [false, true]) {
      const result = await runKernels(device, poolBackward({ shape, kind, accumulate }), { dy, x, dx: before });
      const dx = gradient.map((v, i) => v + (accumulate ? before[i]! : 0));
      expectWithin(result.dx, dx, 2 ** -20, `dx, accumulate ${accumulate}`);
    }
  });
});

test("globalAveragePool and its gradient", async () => {
  const device = await testDevice();
  for (const [n, positions, channels] of [
    [3, 30, 7],
    [2, 64, 24],
    [5, 1, 96],
  ] as const) {
    const x = uniform(n * positions * channels, 1);
    const y = new Float64Array(n * channels);
    x.forEach((v, i) => {
      y[Math.floor(i / (positions * channels)) * channels + (i % channels)]! += v / positions;
    });
    const forward = await runKernels(device, globalAveragePoolForward({ n, positions, channels }), {
      x,
      y: new Float32Array(y.length),
    });
    expectWithin(forward.y, y, 2 ** -20, "y");
    const dy = uniform(n * channels, 2);
    const before = uniform(x.length, 3);
    for (const accumulate of [false, true]) {
      const kernel = globalAveragePoolBackward({ n, positions, channels, accumulate });
      const result = await runKernels(device, kernel, { dy, dx: before });
      const dx = Float64Array.from(x, (_, i) => {
        const from = Math.floor(i / (positions * channels)) * channels + (i % channels);
        return dy[from]! / positions + (accumulate ? before[i]! : 0);
      });
      expectWithin(result.dx, dx, 2 ** -20, "dx");
    }
  }
});

test("pool refuses to change the number of channels", () => {
  const shape: WindowShape = { n: 1, h: 4, w: 4, in: 3, out: 4, kernel: 2, stride: 2, padding: 0 };
  expect(() => poolForward({ shape, kind: "max" })).toThrow("in 3 and out 4");
});
