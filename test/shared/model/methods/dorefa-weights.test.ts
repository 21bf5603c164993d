// DoReFa-Net's weights: what planes and scales add up to, and the derivative through tanh and its maximum.
import { describe, expect, test } from "vitest";
import { rng } from "../../../../shared/base/rng.ts";
import {
  dorefaCodes,
  dorefaGradient,
  dorefaPlanes,
  dorefaScale,
} from "../../../../shared/model/methods/dorefa-weights.ts";

const draw = rng(7);
const weight = Float32Array.from({ length: 60 }, () => draw.normal());
weight.set([0, 1, -1, 1.25]);
const gradient = Float64Array.from({ length: 60 }, () => draw.normal());

test("one bit is the sign, and its scale the mean of |W| of the layer", () => {
  expect([...dorefaPlanes(weight, 1)]).toEqual([...weight].map((w) => (w < 0 ? -1 : 1)));
  const mean = weight.reduce((sum, w) => sum + Math.abs(w), 0) / 60;
  expect(dorefaScale(weight, 1)[0]).toBeCloseTo(mean, 6);
  expect(dorefaGradient(weight, gradient, 1, true)).toEqual(gradient);
});

describe.each([2, 4, 8])("of %i bits", (bits) => {
  const codes = dorefaCodes(weight, bits);
  const top = 2 ** bits - 1;

  test("planes times their scales are 2 code / (2^bits - 1) - 1, from -1 to 1", () => {
    const [planes, scale] = [dorefaPlanes(weight, bits), dorefaScale(weight, bits)];
    for (let i = 0; i < 60; i++) {
      const sum = scale.reduce((total, c, m) => total + c * planes[m * 60 + i], 0);
      expect(sum).toBeCloseTo((2 * codes[i]) / top - 1, 6);
    }
    const largest = weight.reduce((best, w, i) => (Math.abs(w) > Math.abs(weight[best]) ? i : best), 0);
    expect(codes[largest]).toBe(weight[largest] < 0 ? 0 : top);
    // Half way between two levels: the even one.
    expect(codes[0]).toBe(2 ** (bits - 1));
  });

  test.each([true, false])("with maxGradient %s the gradient is that of tanh W / T without its levels", (through) => {
    const largest = (w: Float64Array) => w.reduce((max, x) => Math.max(max, Math.abs(Math.tanh(x))), 0);
    const held = largest(Float64Array.from(weight));
    const loss = (w: Float64Array) => {
      const t = through ? largest(w) : held;
      return w.reduce((sum, x, i) => sum + (gradient[i] * Math.tanh(x)) / t, 0);
    };
    const own = dorefaGradient(weight, gradient, bits, through);
    for (let i = 0; i < 60; i++) {
      const [up, down] = [1e-6, -1e-6].map((h) => loss(Float64Array.from(weight, (w, j) => (i === j ? w + h : w))));
      expect(own[i]).toBeCloseTo((up - down) / 2e-6, 5);
    }
  });
});

test("a layer of zeros lies between its levels, and its gradient is finite", () => {
  const zeros = new Float32Array(4);
  expect([...dorefaCodes(zeros, 2)]).toEqual([2, 2, 2, 2]);
  for (const g of dorefaGradient(zeros, Float64Array.of(1, 2, 3, 4), 2, true)) expect(Number.isFinite(g)).toBe(true);
});
