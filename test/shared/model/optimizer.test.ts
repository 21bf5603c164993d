// Rules of optimizer steps.
import fc from "fast-check";
import { expect, test } from "vitest";
import { adamStep, sgdStep } from "../../../shared/model/optimizer.ts";

const plain = { learningRate: 0.1, momentum: 0.9, weightDecay: 0, nesterov: false };
const adam = { learningRate: 2e-4, betas: [0.5, 0.999] as const };

const anyValue = fc.float({ noNaN: true, min: -10, max: 10 });
const anyGradients = fc.array(fc.array(anyValue, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 12 });

function closeTo(actual: Float32Array, expected: readonly number[], relative: number): void {
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value)).toBeLessThanOrEqual(relative * Math.max(1, Math.abs(value)));
  });
}

test("the first step of SGD moves by learningRate · gradient, the second by that and the momentum", () => {
  const parameter = Float32Array.of(1);
  const momentum = new Float32Array(1);
  sgdStep(parameter, [0.5], momentum, plain);
  expect([parameter[0], momentum[0]]).toEqual([Math.fround(0.95), 0.5]);
  sgdStep(parameter, [0.5], momentum, plain);
  expect(momentum[0]).toBe(Math.fround(0.95));
  expect(parameter[0]).toBeCloseTo(0.855, 6);
});

test("Nesterov looks one momentum ahead", () => {
  const parameter = Float32Array.of(1);
  const momentum = new Float32Array(1);
  sgdStep(parameter, [0.5], momentum, { ...plain, nesterov: true });
  expect(parameter[0]).toBeCloseTo(0.905, 6);
  sgdStep(parameter, [0.5], momentum, { ...plain, nesterov: true });
  expect(parameter[0]).toBeCloseTo(0.7695, 6);
});

test("SGD is torch.optim.SGD, written in double, up to the rounding of its state", () => {
  const anyOptions = fc.record({
    learningRate: fc.constantFrom(0.1, 0.01),
    momentum: fc.constantFrom(0, 0.5, 0.9),
    weightDecay: fc.constantFrom(0, 1e-4, 0.1),
    nesterov: fc.boolean(),
  });
  fc.assert(
    fc.property(anyGradients, anyOptions, (gradients, options) => {
      const parameter = Float32Array.of(1, -2, 0.5);
      const momentum = new Float32Array(3);
      const p = [...parameter];
      let buffer: number[] | undefined;
      for (const gradient of gradients) {
        sgdStep(parameter, gradient, momentum, options);
        const g = gradient.map((value, i) => value + options.weightDecay * p[i]!);
        buffer = buffer ? buffer.map((value, i) => options.momentum * value + g[i]!) : [...g];
        for (let i = 0; i < 3; i++) {
          const d = options.nesterov ? g[i]! + options.momentum * buffer[i]! : buffer[i]!;
          p[i] = p[i]! - options.learningRate * d;
        }
      }
      closeTo(parameter, p, 1e-5);
    }),
  );
});

test("the first step of Adam moves by the learning rate against the gradient's sign", () => {
  const parameter = Float32Array.of(0, 0, 0);
  adamStep(parameter, [3, -1e-2, 0], new Float32Array(3), new Float32Array(3), 1, adam);
  closeTo(parameter, [-2e-4, 2e-4, 0], 1e-9);
});

test("Adam is torch.optim.Adam, written in double, up to the rounding of its state", () => {
  const anyOptions = fc.record({
    learningRate: fc.constantFrom(1e-2, 2e-4),
    betas: fc.constantFrom([0.9, 0.999] as const, [0.5, 0.999] as const),
    epsilon: fc.constantFrom(1e-8, 1e-3),
    weightDecay: fc.constantFrom(0, 0.1),
  });
  // Gradients far from 0 against epsilon, so that rounding v to float32 is not magnified by the division.
  const gradients = fc.array(fc.array(fc.constantFrom(-3, -0.5, -0.1, 0.2, 0.7, 2), { minLength: 3, maxLength: 3 }), {
    minLength: 1,
    maxLength: 12,
  });
  fc.assert(
    fc.property(gradients, anyOptions, (steps, options) => {
      const parameter = Float32Array.of(1, -2, 0.5);
      const m = new Float32Array(3);
      const v = new Float32Array(3);
      const p = [...parameter];
      const first = [0, 0, 0];
      const second = [0, 0, 0];
      const [beta1, beta2] = options.betas;
      steps.forEach((gradient, index) => {
        const step = index + 1;
        adamStep(parameter, gradient, m, v, step, options);
        for (let i = 0; i < 3; i++) {
          const g = gradient[i]! + options.weightDecay * p[i]!;
          first[i] = beta1 * first[i]! + (1 - beta1) * g;
          second[i] = beta2 * second[i]! + (1 - beta2) * g * g;
          const mHat = first[i]! / (1 - beta1 ** step);
          const vHat = second[i]! / (1 - beta2 ** step);
          p[i] = p[i]! - (options.learningRate * mHat) / (Math.sqrt(vHat) + options.epsilon);
        }
      });
      closeTo(parameter, p, 1e-5);
    }),
  );
});

test("a late step of Adam has no bias left to correct", () => {
  const parameter = Float32Array.of(0);
  adamStep(parameter, [1], Float32Array.of(1), Float32Array.of(1), 1_000_000, adam);
  expect(parameter[0]).toBeCloseTo(-2e-4, 9);
});

test("the same steps give the same bits, from any kind of gradient array", () => {
  fc.assert(
    fc.property(anyGradients, (gradients) => {
      const kinds: ((values: number[]) => ArrayLike<number>)[] = [
        (values) => values,
        (values) => Float32Array.from(values),
        (values) => Float64Array.from(values),
      ];
      const runs = kinds.map((arrayOf) => {
        const parameter = Float32Array.of(0.3, -0.7, 0.1);
        const momentum = new Float32Array(3);
        for (const gradient of gradients) sgdStep(parameter, arrayOf(gradient), momentum, plain);
        return parameter;
      });
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[2]).toEqual(runs[0]);
    }),
  );
});

test("bits are pinned: a change of the arithmetic is a change of every run", () => {
  const parameter = Float32Array.of(0.3, -0.7);
  const momentum = new Float32Array(2);
  const m = new Float32Array(2);
  const v = new Float32Array(2);
  for (let step = 1; step <= 10; step++) {
    sgdStep(parameter, [0.1 * step, -0.3], momentum, { ...plain, weightDecay: 5e-4, nesterov: true });
    adamStep(parameter, [0.3, -0.01 * step], m, v, step, adam);
  }
  expect(Array.from(new Uint32Array(parameter.buffer), (word) => word.toString(16))).toEqual(["bfeccbff", "3f38779b"]);
});

test("arrays of other lengths and a step that is not counted from 1 are refused", () => {
  const two = new Float32Array(2);
  const three = new Float32Array(3);
  expect(() => sgdStep(two, three, two, plain)).toThrow(RangeError);
  expect(() => sgdStep(two, two, three, plain)).toThrow(RangeError);
  expect(() => adamStep(two, three, two, two, 1, adam)).toThrow(RangeError);
  expect(() => adamStep(two, two, three, two, 1, adam)).toThrow(RangeError);
  expect(() => adamStep(two, two, two, three, 1, adam)).toThrow(RangeError);
  for (const step of [0, -1, 1.5, NaN]) expect(() => adamStep(two, two, two, two, step, adam)).toThrow(RangeError);
});
