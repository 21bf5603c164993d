// RBCN's equations on the coordinator: C, its best value, and the two readings of L_Kernel's gradient.
import { expect, test } from "vitest";
import { rng } from "../../../../shared/base/rng.ts";
import { type KernelGradient, rbcnGradients, weightSurrogate } from "../../../../shared/model/methods/rbcn.ts";
import { bestRectifier, rectifierIndex } from "../../../../shared/model/methods/shared-scale.ts";
import { type Rectify, rectifyShape } from "../../../../shared/model/rectify.ts";

const shape = [9, 3, 3, 4] as const;
const draw = rng(5);
const weight = Float32Array.from({ length: 9 * 9 * 4 }, () => draw.normal() * 0.6);
const rectifiers = ["kernel", "layer", "out", "filter"] as const;

function layer(rectify: Rectify, rectifier: Float32Array, gradient = new Float64Array(weight.length)) {
  return { shape, rectifierShape: rectifyShape(rectify, 9, 3, 4), weight, rectifier, gradient };
}

function options(kernelGradient: KernelGradient, lambdaKernel = 1) {
  return { kernelGradient, lambdaKernel } as const;
}

test.each(rectifiers)("C per %s: every element of W has the entry that its axes share", (rectify) => {
  const c = rectifyShape(rectify, 9, 3, 4);
  const index = rectifierIndex(shape, c);
  let at = 0;
  for (let o = 0; o < 9; o++)
    for (let y = 0; y < 3; y++)
      for (let x = 0; x < 3; x++)
        for (let i = 0; i < 4; i++) {
          const expected = { kernel: y * 3 + x, layer: 0, out: o, filter: (y * 3 + x) * 4 + i }[rectify];
          expect(index[at++]).toBe(expected);
        }
});

test.each(rectifiers)("C per %s: the mean of |W| over the sharers is where ∂L_Kernel/∂C vanishes", (rectify) => {
  const best = bestRectifier(shape, rectifyShape(rectify, 9, 3, 4), weight);
  const { rectifier } = rbcnGradients(layer(rectify, best), options("direct"));
  for (const g of rectifier) expect(Math.abs(g)).toBeLessThan(1e-4);
});

test("the surrogate is 2+2W on [−1,0), 2−2W on [0,1), 0 elsewhere", () => {
  expect([-1.1, -1, -0.5, -0.25, 0, 0.5, 1, 1.5].map(weightSurrogate)).toEqual([0, 0, 1, 1.5, 2, 1, 0, 0]);
});

test("L_Kernel falls along its direct gradient, and rises along the literal one", () => {
  const descend = (kernelGradient: KernelGradient) => {
    const c = bestRectifier(shape, rectifyShape("layer", 9, 3, 4), weight);
    const w = Float32Array.from(weight);
    const losses: number[] = [];
    for (let step = 0; step < 50; step++) {
      const result = rbcnGradients({ ...layer("layer", c), weight: w }, options(kernelGradient));
      losses.push(result.kernelLoss);
      for (let i = 0; i < w.length; i++) w[i] -= 0.1 * result.weight[i];
    }
    return losses;
  };
  const direct = descend("direct");
  expect(direct[49]).toBeLessThan(direct[0] / 100);
  const literal = descend("literal");
  expect(literal[49]).toBeGreaterThan(literal[0]);
});

test("`both` is the sum of `direct` and `literal`", () => {
  const c = bestRectifier(shape, rectifyShape("kernel", 9, 3, 4), weight);
  const [both, direct, literal] = (["both", "direct", "literal"] as const).map(
    (k) => rbcnGradients(layer("kernel", c), options(k)).weight,
  );
  both.forEach((value, i) => {
    expect(value).toBeCloseTo(direct[i] + literal[i], 12);
  });
});

test("∂L/∂W is G⊙C⊙surrogate(W) and ∂L/∂C is Σ G⊙sign(W)", () => {
  const gradient = Float64Array.from({ length: weight.length }, () => draw.normal());
  const c = Float32Array.from({ length: 9 }, () => 0.5 + draw.uniform());
  const result = rbcnGradients(layer("kernel", c, gradient), options("direct", 0));
  const expected = new Float64Array(9);
  weight.forEach((w, i) => {
    const tap = Math.floor(i / 4) % 9;
    expect(result.weight[i]).toBeCloseTo(gradient[i] * c[tap] * weightSurrogate(w), 12);
    expected[tap] += gradient[i] * (w < 0 ? -1 : 1);
  });
  expected.forEach((value, tap) => {
    expect(result.rectifier[tap]).toBeCloseTo(value, 10);
  });
});
