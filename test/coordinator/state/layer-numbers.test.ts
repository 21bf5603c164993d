import { expect, test } from "vitest";
import {
  euclidean,
  flippedShare,
  isMeasured,
  MOST_MEASURED,
  meanAndSpread,
  measuredEvery,
} from "../../../coordinator/state/layer-numbers.ts";
import { learningRatesAt } from "../../../coordinator/state/learning-rate.ts";
import { applyRound } from "../../../coordinator/state/update.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { nextSum, tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

test("a step is measured as often as MOST_MEASURED rows of a run allow, the first and the last are", () => {
  expect([1, MOST_MEASURED, MOST_MEASURED + 1, 100_000, 4_000_000].map(measuredEvery)).toEqual([1, 1, 2, 50, 2000]);
  expect([1, 2, 50, 100, 99_999, 100_000].map((step) => isMeasured(step, 100_000))).toEqual([
    true,
    false,
    true,
    true,
    false,
    true,
  ]);
});

test("shares, norms, means and spreads are what their names say; 0 and -0 count as positive", () => {
  expect(flippedShare(Float32Array.of(1, -1, 0, -0, 2), Float32Array.of(-1, -2, -0, 3, -0.5))).toBe(2 / 5);
  expect(flippedShare(new Float32Array(0), new Float32Array(0))).toBe(0);
  expect(euclidean(Float64Array.of(3, 0, -4))).toBe(5);
  expect(meanAndSpread(Float32Array.of(1, 3, 5, 7))).toEqual({ mean: 4, spread: Math.sqrt(5) });
});

test("a step of RBCN says of each layer what it did, as the parameters before and after it do", () => {
  const state = tinyState();
  const { batch } = state.config;
  let flips = 0;
  while (state.step < 4) {
    const sum = nextSum(state);
    const before = new Map([...state.parameters.student].map(([name, values]) => [name, values.slice()]));
    const place = placeOf(state.program, state.step, batch);
    const { layers = {} } = applyRound(state, place, sum);
    const after = state.parameters.student;
    if (place.pass.phase === "teacher") {
      expect(Object.keys(layers)).toEqual(["gradient/conv1", "gradient/conv2", "gradient/conv3", "gradient/fc"]);
      expect(layers["gradient/fc"]).toBeCloseTo(euclidean(sum.mean("fc.weight")), 10);
      continue;
    }
    for (const layer of ["conv2", "conv3"]) {
      const turned = flippedShare(before.get(`${layer}.weight`)!, after.get(`${layer}.weight`)!);
      expect(layers[`flips/${layer}`]).toBe(turned);
      flips += turned;
      const { mean, spread } = meanAndSpread(after.get(`${layer}.c`)!);
      expect(layers).toMatchObject({ [`c.mean/${layer}`]: mean, [`c.spread/${layer}`]: spread });
      expect(layers[`c.gradient/${layer}`]).toBeGreaterThan(0);
      expect(layers[`gradient/${layer}`]).toBeGreaterThan(0);
    }
    const metrics = sum.metrics();
    for (const name of ["real/conv2", "fake/conv3"]) {
      expect(metrics[name]).toBeGreaterThan(0);
      expect(layers[name]).toBe(metrics[name]);
    }
    // All the tensors of one discriminator are one layer.
    const tensors = [...before.keys()].filter((name) => name.startsWith("discriminator.conv2."));
    const norms = tensors.map((name) => euclidean(sum.mean(name)));
    expect(tensors).toHaveLength(8);
    expect(layers["gradient/discriminator.conv2"]).toBeCloseTo(Math.hypot(...norms), 10);
    expect(Object.keys(layers).some((name) => /bn|prelu|bias/.test(name))).toBe(false);
  }
  expect(flips).toBeGreaterThan(0);
});

test("the rates of a step are those of what its phase trains, by the optimizer of each", () => {
  const adam = { kind: "adam", rate: 0.5 };
  const config = tinyConfig({ optimizer: { learningRate: 2, rectifierRate: 0.25, latent: adam } });
  const { program, networks } = tinyState(config);
  const rates = (step: number) => learningRatesAt(config, program, networks, step);
  expect(rates(0)).toEqual({ weights: 0.2 });
  expect(rates(2)).toEqual({ weights: 2, latent: 1, companions: 0.5, discriminators: config.adversarial.learningRate });
  expect(Object.keys(rates(4))).toEqual(["weights"]);
  const local = tinyConfig({ sync: { kind: "local", outer: { learningRate: 0.7 } }, batch: 4 });
  const localState = tinyState(local);
  expect(learningRatesAt(local, localState.program, localState.networks, 0)).toMatchObject({ outer: 0.7 });
});
