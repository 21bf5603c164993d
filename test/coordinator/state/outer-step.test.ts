// Rules of the outer step of `sync: local`, against DiLoCo's equations written out in double.
import { expect, test } from "vitest";
import { parametersHash, type TrainingState } from "../../../coordinator/state/training-state.ts";
import { applyRound } from "../../../coordinator/state/update.ts";
import { RoundSum } from "../../../coordinator/sum/aggregate.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { drawContribution, tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const rate = 0.5;
const mu = 0.75;
const config = tinyConfig({ sync: { kind: "local", outer: { learningRate: rate, momentum: mu } } });

/** Contributions to the state's next round, one of three samples and one of one. */
function contributions(state: TrainingState) {
  const { phase } = placeOf(state.program, state.step, config.batch).pass;
  const layout = phaseLayout(state.networks, phaseNamed(state.program, phase), "local");
  const place = placeOf(state.program, state.step, config.batch);
  const samples = place.to - place.from;
  const first = samples - 1;
  return { place, layout, parts: [drawn(first, 1), drawn(1, 2)] };

  function drawn(count: number, seed: number) {
    return drawContribution(layout, count, "outer", state.step, seed);
  }
}

/** In units in which differences are large enough for W to leave its bounds. */
function sumOf(state: TrainingState, reversed = false): RoundSum {
  const { layout, parts } = contributions(state);
  const sum = new RoundSum(
    layout,
    layout.tensors.map(() => -18),
    "exact",
  );
  for (const { samples, peaks, body } of reversed ? [...parts].reverse() : parts) sum.add(samples, peaks, body);
  return sum;
}

test("Y2 every trained parameter, C and discriminators too, takes Nesterov's step on the mean difference; statistics become the mean", () => {
  const state = tinyState(config);
  const momentum = new Map<string, number[]>();
  let clamped = 0;
  while (state.step < state.program.steps) {
    const { place, layout } = contributions(state);
    const { network } = place.pass;
    const sum = sumOf(state);
    const before = new Map([...state.parameters[network]].map(([name, values]) => [name, [...values]]));
    const { loss } = applyRound(state, place, sum);
    for (const [name, values] of before) {
      const after = [...parameter(state.parameters[network], name)];
      const tensor = layout.tensors.find((t) => t.name === name);
      if (!tensor) {
        expect(after, `${name} in ${place.pass.phase}`).toEqual(values);
        continue;
      }
      const mean = [...sum.mean(name)];
      if (tensor.kind === "statistic") {
        expect(after).toEqual(mean.map(Math.fround));
        continue;
      }
      const m = momentum.get(`${network} ${name}`) ?? values.map(() => 0);
      momentum.set(
        `${network} ${name}`,
        m.map((v, i) => mu * v + mean[i]),
      );
      const next = m.map((v, i) => values[i] - rate * (mean[i] + mu * (mu * v + mean[i])));
      const binary = network === "student" && /^conv[23]\.weight$/.test(name);
      clamped += binary ? next.filter((w) => Math.abs(w) > 1).length : 0;
      const expected = binary ? next.map((w) => Math.max(-1, Math.min(1, w))) : next;
      const errors = after.map((v, i) => Math.abs(v - expected[i]) / (1 + Math.abs(expected[i])));
      expect(Math.max(...errors), name).toBeLessThanOrEqual(1e-5);
    }
    expect(loss.task).toBe(sum.metrics().task);
  }
  expect(clamped).toBeGreaterThan(0);
});

test("Y3 contributions in another order end in the same parameters, bit for bit", () => {
  const [a, b] = [tinyState(config), tinyState(config)];
  while (a.step < a.program.steps) {
    const { place } = contributions(a);
    applyRound(a, place, sumOf(a));
    applyRound(b, place, sumOf(b, true));
  }
  expect(parametersHash(b, "student")).toBe(parametersHash(a, "student"));
  expect(parametersHash(b, "teacher")).toBe(parametersHash(a, "teacher"));
});

test("Y2 with a rate of 1 and no momentum the replicas are averaged", () => {
  const state = tinyState(tinyConfig({ sync: { kind: "local", outer: { learningRate: 1, momentum: 0 } } }));
  const { place } = contributions(state);
  const sum = sumOf(state);
  const before = [...parameter(state.parameters.teacher, "fc.weight")];
  applyRound(state, place, sum);
  const mean = sum.mean("fc.weight");
  expect([...parameter(state.parameters.teacher, "fc.weight")]).toEqual(before.map((v, i) => Math.fround(v - mean[i])));
});
