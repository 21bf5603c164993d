// Rules of a step, against the method's equations written out once more in float64.

import { expect, test } from "vitest";
import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { learningRateAt } from "../../../coordinator/state/learning-rate.ts";
import { parametersHash, type TrainingState } from "../../../coordinator/state/training-state.ts";
import { applyRound } from "../../../coordinator/state/update.ts";
import { RoundSum } from "../../../coordinator/sum/aggregate.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { drawContribution, nextLayout, nextSum, tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

/**
 * The run's state and its next step once more, straight from methods/README.md: names instead of roles, plain arrays of
 * doubles.
 */
class Reference {
  readonly values = new Map<string, number[]>();
  readonly #momentum = new Map<string, number[]>();
  readonly #first = new Map<string, number[]>();
  readonly #second = new Map<string, number[]>();
  #adamSteps = 0;

  constructor(state: TrainingState) {
    for (const [name, values] of state.parameters.teacher) this.values.set(`teacher.${name}`, [...values]);
    for (const [name, values] of state.parameters.student) this.values.set(name, [...values]);
  }

  sgd(name: string, gradient: readonly number[], rate: number, decay: number): void {
    const p = this.values.get(name)!;
    const v = this.#momentum.get(name) ?? p.map(() => 0);
    this.#momentum.set(name, v);
    p.forEach((_, i) => {
      v[i] = 0.9 * v[i] + gradient[i] + decay * p[i];
      p[i] -= rate * v[i];
    });
  }

  adam(names: readonly string[], mean: (name: string) => readonly number[]): void {
    this.#adamSteps += 1;
    for (const name of names) {
      const p = this.values.get(name)!;
      const m = this.#first.get(name) ?? p.map(() => 0);
      const v = this.#second.get(name) ?? p.map(() => 0);
      this.#first.set(name, m);
      this.#second.set(name, v);
      mean(name).forEach((g, i) => {
        m[i] = 0.5 * m[i] + 0.5 * g;
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        const corrected = m[i] / (1 - 0.5 ** this.#adamSteps);
        p[i] -= (2e-4 * corrected) / (Math.sqrt(v[i] / (1 - 0.999 ** this.#adamSteps)) + 1e-8);
      });
    }
  }

  running(name: string, batch: readonly number[]): void {
    const p = this.values.get(name)!;
    batch.forEach((b, i) => {
      p[i] = 0.9 * p[i] + 0.1 * b;
    });
  }

  /** Gradients of one layer [out][taps][in] with C [taps], and its L_Kernel. */
  layer(name: string, g: readonly number[], lambda: number) {
    const w = this.values.get(`${name}.weight`)!;
    const c = this.values.get(`${name}.c`)!;
    const inputs = 2;
    const dc = c.map(() => 0);
    let loss = 0;
    const dw = w.map((x, i) => {
      const tap = Math.floor(i / inputs) % c.length;
      const sign = x < 0 ? -1 : 1;
      loss += (lambda / 2) * (x - c[tap] * sign) ** 2;
      dc[tap] += g[i] * sign + lambda * (c[tap] - Math.abs(x));
      const surrogate = x >= -1 && x < 0 ? 2 + 2 * x : x >= 0 && x < 1 ? 2 - 2 * x : 0;
      return g[i] * c[tap] * surrogate + lambda * (x - c[tap] * sign);
    });
    return { dw, dc, loss };
  }

  clampWeights(name: string): number {
    const w = this.values.get(name)!;
    const outside = w.filter((x) => Math.abs(x) > 1).length;
    this.values.set(
      name,
      w.map((x) => Math.max(-1, Math.min(1, x))),
    );
    return outside;
  }
}

const lambda = 0.01;
const decay = 0.003;
const config = tinyConfig({
  method: { lambdaKernel: lambda },
  optimizer: { learningRate: 2, rectifierRate: 0.25, weightDecay: decay, latentWeightDecay: 0.002 },
});

/** η at a student step, of the eight that are there: cosine over all of them. */
const cosine = (step: number, steps: number) => (1 + Math.cos((Math.PI * step) / steps)) / 2;

test("every step of teacher, student and BN phase is what the method's equations give", () => {
  const state = tinyState(config);
  const reference = new Reference(state);
  const all = [...state.parameters.student.keys()];
  const layers = ["conv2", "conv3"];
  let clamped = 0;
  const kinds: string[] = [];
  while (state.step < state.program.steps) {
    const place = placeOf(state.program, state.step, config.batch);
    const { phase: kind, weights } = place.pass;
    const { step } = state;
    kinds.push(kind);
    const sum = nextSum(state);
    const mean = (name: string) => [...sum.mean(name)];
    const { task, top1, adversarial, discriminator } = sum.metrics();
    const { loss, score } = applyRound(state, place, sum);
    expect(score).toBe(top1);

    if (kind === "teacher") {
      const rate = 0.2 * cosine(step, 2);
      for (const name of state.parameters.teacher.keys()) {
        if (name.includes("running")) reference.running(`teacher.${name}`, mean(name));
        else reference.sgd(`teacher.${name}`, mean(name), rate, decay);
      }
      expect(loss).toEqual({ task, total: task });
    } else {
      const rate = 2 * cosine(step - 2, 8);
      const plain = all.filter((name) => !name.startsWith("discriminator") && !/^conv[23]\./.test(name));
      const bnPhase = (name: string) => /^(bn|prelu|fc)/.test(name);
      let kernel = 0;
      if (kind === "student") {
        for (const layer of layers) {
          const { dw, dc, loss: part } = reference.layer(layer, mean(`${layer}.weight`), lambda);
          kernel += part;
          reference.sgd(`${layer}.weight`, dw, rate, 0.002);
          clamped += reference.clampWeights(`${layer}.weight`);
          reference.sgd(`${layer}.c`, dc, rate * 0.25, 0);
        }
        reference.adam(
          all.filter((name) => name.startsWith("discriminator")),
          mean,
        );
        expect(loss.kernel).toBeCloseTo(kernel, 6);
        expect(loss).toMatchObject({ task, adversarial, discriminator });
        expect(loss.total).toBe(task + loss.kernel + weights.adversarial * adversarial);
      } else {
        expect(loss).toEqual({ task, total: task });
      }
      for (const name of plain.filter((n) => kind === "student" || bnPhase(n))) {
        if (name.includes("running")) reference.running(name, mean(name));
        else reference.sgd(name, mean(name), rate, decay);
      }
    }
    expect(state.step).toBe(step + 1);
    for (const [name, values] of reference.values) {
      const actual = name.startsWith("teacher.")
        ? state.parameters.teacher.get(name.slice(8))!
        : state.parameters.student.get(name)!;
      const worst = values.reduce((max, x, i) => Math.max(max, Math.abs(x - actual[i]) / (1 + Math.abs(x))), 0);
      expect(worst, `${name} after step ${state.step}`).toBeLessThan(3e-6);
    }
  }
  expect(kinds.join(" ")).toBe("teacher teacher student student bn bn student student bn bn");
  expect(clamped).toBeGreaterThan(0);
});

test("the GAN's weight enters the loss only after the warm-up, the BN phase moves neither W nor C nor a convolution", () => {
  const state = tinyState(config);
  const lambdas = state.program.passes
    .filter(({ phase }) => phase === "student")
    .map((pass) => pass.weights.adversarial);
  expect(lambdas).toEqual([0, 0.5]);
  while (placeOf(state.program, state.step, config.batch).pass.phase !== "bn") {
    applyRound(state, placeOf(state.program, state.step, config.batch), nextSum(state));
  }
  const before = new Map([...state.parameters.student].map(([name, values]) => [name, values.slice()]));
  applyRound(state, placeOf(state.program, state.step, config.batch), nextSum(state));
  for (const [name, values] of before) {
    const moved = /^(bn|prelu|fc)/.test(name);
    if (moved) expect(state.parameters.student.get(name), name).not.toEqual(values);
    else expect(state.parameters.student.get(name), name).toEqual(values);
  }
});

test("without the GAN the loss has no adversarial part", () => {
  const state = tinyState(tinyConfig({ method: { ablation: "R" } }));
  const { loss } = applyRound(state, placeOf(state.program, 0, 4), nextSum(state));
  expect(Object.keys(loss).sort()).toEqual(["kernel", "task", "total"]);
  expect(loss.total).toBe(loss.task + loss.kernel);
});

test("milestones are fractions of each network's own steps", () => {
  const stepped = tinyConfig({ optimizer: { schedule: { kind: "step", milestones: [0.5, 0.75], gamma: 0.1 } } });
  const { program } = tinyState(stepped);
  const rate = (step: number) => learningRateAt(stepped, program, step);
  expect([0, 1].map((step) => rate(step))).toEqual([0.2, 0.2 * 0.1]);
  const student = [0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001];
  student.forEach((expected, i) => {
    expect(rate(2 + i)).toBeCloseTo(expected, 12);
  });
});

test("contributions in another order end in the same parameters, bit for bit", () => {
  const hashOf = (order: readonly number[]) => {
    const state = tinyState();
    while (state.step < state.program.steps) {
      const place = placeOf(state.program, state.step, state.config.batch);
      const layout = nextLayout(state);
      const sum = new RoundSum(layout, exponentsFor(state, place.pass.phase, layout), "exact");
      for (const i of order) {
        const { samples, peaks, body } = drawContribution(layout, 1, state.step, i);
        sum.add(samples, peaks, body);
      }
      applyRound(state, place, sum);
    }
    return [parametersHash(state, "teacher"), parametersHash(state, "student")];
  };
  expect(hashOf([2, 0, 3, 1])).toEqual(hashOf([0, 1, 2, 3]));
});

test("no step is made on an empty sum, nor in another pass than the next step's", () => {
  const state = tinyState();
  const before = parametersHash(state, "teacher");
  const layout = nextLayout(state);
  const empty = new RoundSum(layout, exponentsFor(state, "teacher", layout), "exact");
  expect(() => applyRound(state, placeOf(state.program, 0, 4), empty)).toThrow("no samples");
  expect(() => applyRound(state, placeOf(state.program, 2, 4), nextSum(state))).toThrow("outside pass 1");
  expect([state.step, parametersHash(state, "teacher")]).toEqual([0, before]);
  for (const step of [0, 1]) applyRound(state, placeOf(state.program, step, 4), nextSum(state));
  expect(() => applyRound(state, placeOf(state.program, 1, 4), nextSum(state))).toThrow("outside pass 0");
});

test("an evaluation's result is the means of its metrics", () => {
  const state = tinyState();
  const layout = phaseLayout(state.networks, phaseOf("evaluate-student"));
  const sum = new RoundSum(layout, exponentsFor(state, "evaluate-student", layout), "exact");
  const units = Int32Array.from({ length: layout.size }, (_, i) => [6 * 4096, 3 * 4096, 4 * 4096][i] ?? 0);
  sum.add(4, new Uint32Array(1), new Uint8Array(units.buffer));
  expect(sum.metrics()).toMatchObject({ task: 1.5, top1: 0.75, top5: 1 });
});
