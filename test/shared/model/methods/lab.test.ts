// LAB's scale: a mean of |W| that weighs each by the curvature Adam measures.
import { expect, test } from "vitest";
import { curvatureScale } from "../../../../shared/model/methods/lab.ts";
import { parseConfig } from "../../../../shared/run/config.ts";

const weight = Float32Array.of(0.5, -1, 0.25, -0.25);

test("before Adam's first step the scale is the mean of |W|", () => {
  expect(curvatureScale({ weight })).toBeCloseTo(0.5, 12);
  expect(curvatureScale({ weight, secondMoment: new Float32Array(4) })).toBeCloseTo(0.5, 12);
});

test("a weight counts by the root of its second moment", () => {
  const scale = curvatureScale({ weight, secondMoment: Float32Array.of(4, 1, 0, 0) });
  expect(scale).toBeCloseTo((2 * 0.5 + 1 * 1) / 3, 6);
});

test("the correction of Adam's bias, one factor for all, would change nothing", () => {
  const secondMoment = Float32Array.of(0.04, 0.01, 0.0025, 0.09);
  const corrected = secondMoment.map((v) => v / 0.001);
  expect(curvatureScale({ weight, secondMoment: corrected })).toBeCloseTo(curvatureScale({ weight, secondMoment }), 6);
});

test("without Adam for W a run of LAB is refused, saying what to set", () => {
  expect(() => parseConfig({ method: { kind: "lab" } })).toThrow(
    /optimizer\.latent\.kind: .*Adam's second moment.*got sgd \(set optimizer\.latent\.kind=adam\)/,
  );
  const config = parseConfig({ method: { kind: "lab" }, optimizer: { latent: { kind: "adam" } } });
  expect(config.method).toMatchObject({ kind: "lab", activations: "float" });
});
