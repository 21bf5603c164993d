// Inner steps on a real device: a lease of k microbatches goes where k steps of the coordinator's own arithmetic would.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { latentGradientsOf } from "../../../coordinator/state/latent-gradients.ts";
import { parametersChanged, partnersChanged, type TrainingState } from "../../../coordinator/state/training-state.ts";
import { applyRound } from "../../../coordinator/state/update.ts";
import { adamStep } from "../../../shared/model/optimizer.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { wireManifest } from "../../../shared/run/networks.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { METRICS, phaseLayout } from "../../../shared/wire/contribution.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { createTrainer } from "../../../worker/trainer/trainer.ts";
import type { Trainer } from "../../../worker/trainer/trainer-contract.ts";
import { badDriver } from "../../fixtures/bad-driver.ts";
import { testDevice } from "../../fixtures/device.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { planned } from "../../fixtures/planned.ts";
import { trainerRun } from "../../fixtures/tiny-run.ts";
import {
  at,
  expectDifference,
  input,
  load,
  MICROBATCH,
  nextRound,
  rounds,
  SAMPLES,
  stateOf,
  steps,
} from "./local-stage.ts";

let plain: Trainer;
beforeAll(async () => {
  plain = createTrainer(await testDevice(), trainerRun(steps()));
});
afterAll(() => plain?.close());

async function withLocal<T>(config: RunConfig, use: (trainer: Trainer) => Promise<T>): Promise<T> {
  const trainer = createTrainer(await testDevice(), trainerRun(config));
  try {
    return await use(trainer);
  } finally {
    trainer.close();
  }
}

// The first lease of a kind compiles dozens of kernels, on two cores that others use as well.
describe.each(["teacher", "student", "bn"] as const)("a %s lease", { timeout: 300_000 }, (kind) => {
  test.each([
    [1, 3e-3],
    [3, 0.03],
  ])("of %d microbatches is as many steps of SGD by the coordinator's arithmetic", async (microbatches, share) => {
    const reference = at(stateOf(steps()), kind);
    for (let step = 0; step < microbatches; step++) {
      const { sum } = await nextRound(plain, reference, "fine");
      applyRound(reference, placeOf(reference.program, reference.step, MICROBATCH), sum);
    }
    const config = rounds({}, microbatches);
    await withLocal(config, async (trainer) => {
      const state = at(stateOf(config), kind);
      const { sum, plan } = await nextRound(trainer, state, "fine");
      expect(sum.samples).toBe(Math.min(SAMPLES, microbatches * MICROBATCH));
      expectDifference(plan.layout, sum, state, reference, share);
    });
  });
});

test.each([
  [1, 0.02],
  [3, 0.08],
])(
  "%d inner steps of AdamW are AdamW's by the coordinator's arithmetic",
  async (microbatches, share) => {
    const inner = { kind: "adamw", learningRate: 0.004, beta1: 0.8, beta2: 0.99, weightDecay: 0.25 };
    const reference = at(stateOf(steps()), "student");
    const moments = new Map<string, { m: Float32Array; v: Float32Array }>();
    for (let step = 1; step <= microbatches; step++) {
      const { sum } = await nextRound(plain, reference, "fine");
      const manifest = wireManifest(reference.networks, "student");
      const { gradients } = latentGradientsOf(reference, "student", sum);
      for (const { name, role } of manifest.entries) {
        const p = parameter(reference.parameters.student, name);
        const gradient = gradients.get(name) ?? sum.mean(name);
        if (role === "statistic") {
          p.set(p.map((v, i) => 0.9 * v + 0.1 * gradient[i]));
          continue;
        }
        const { m, v } = moments.get(name) ?? { m: new Float32Array(p.length), v: new Float32Array(p.length) };
        moments.set(name, { m, v });
        const discriminator = role === "critic";
        const learningRate = discriminator ? 2e-4 : role === "learned" ? 0.0004 : 0.004;
        if (role === "float") p.set(p.map((value) => value * (1 - learningRate * 0.25)));
        adamStep(p, gradient, m, v, step, { learningRate, betas: discriminator ? [0.5, 0.999] : [0.8, 0.99] });
        if (role === "latent") p.set(p.map((w) => Math.min(1, Math.max(-1, w))));
      }
      parametersChanged(reference, "student");
      partnersChanged(reference, ["discriminators"]);
      reference.step += 1;
    }
    const config = rounds({ inner }, microbatches);
    await withLocal(config, async (trainer) => {
      const state = at(stateOf(config), "student");
      const { sum, plan } = await nextRound(trainer, state, "fine");
      expect(plan.terms.innerLearningRate).toBe(0.004);
      expectDifference(plan.layout, sum, state, reference, share);
    });
  },
  300_000,
);

describe("a replica", { timeout: 300_000 }, () => {
  const config = rounds();
  let trainer: Trainer;
  beforeAll(async () => {
    trainer = createTrainer(await testDevice(), trainerRun(config));
  });
  afterAll(() => trainer?.close());

  test("begins anew at each lease: repeated, a lease gives the same bits, whatever came between", async () => {
    const state = at(stateOf(config), "student");
    const first = await nextRound(trainer, state);
    await nextRound(trainer, at(stateOf(config), "bn"));
    await nextRound(trainer, at(stateOf(config), "teacher"));
    expect((await nextRound(trainer, state)).result).toEqual(first.result);
  });

  test("is evaluated to the same numbers as the network that it is of, also after it was trained", async () => {
    const numbers = async (by: Trainer, state: TrainingState) => {
      load(by, state);
      const { ranges, terms } = await planned(state).evaluation("student");
      const lease: LeaseMessage = { type: "lease", lease: 1, ranges: [ranges[0]], ...terms };
      const result = await by.compute(lease, input, () => false);
      if (result === "aborted") throw new Error("nobody aborted this lease");
      return result;
    };
    await nextRound(trainer, at(stateOf(config), "student"));
    const local = await numbers(trainer, at(stateOf(config), "student"));
    expect(local).toEqual(await numbers(plain, at(stateOf(steps()), "student")));
  });

  test("sends home the metrics of its own way: their sum over the lease's samples", async () => {
    const state = at(stateOf(config), "student");
    const { sum } = await nextRound(trainer, state);
    const { sum: first } = await nextRound(plain, at(stateOf(steps()), "student"));
    expect(Math.abs(sum.metrics().task - first.metrics().task)).toBeLessThan(1);
    expect(sum.metrics().task).toBeGreaterThan(0.1);
    expect(sum.layout.tensors.at(-1)?.name).toBe(METRICS);
  });

  test("the codecs carry the same differences within their rounding", async () => {
    const state = at(stateOf(config), "student");
    const { sum: f32, plan } = await nextRound(trainer, state, { codec: "f32" });
    const { sum: exact } = await nextRound(trainer, state, { codec: "exact" });
    const { sum: int8 } = await nextRound(trainer, state, { codec: "int8" });
    for (const { name, kind } of plan.layout.tensors) {
      if (kind === "metric") continue;
      const [a, b, c] = [f32.mean(name), exact.mean(name), int8.mean(name)];
      const largest = a.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const distance = (x: Float64Array) => x.reduce((most, v, i) => Math.max(most, Math.abs(v - a[i])), 0);
      const unit = 2 ** plan.terms.exponents[plan.layout.tensors.findIndex((t) => t.name === name)] / SAMPLES;
      expect(distance(b), name).toBeLessThanOrEqual(2 * unit);
      expect(distance(c), name).toBeLessThanOrEqual(2 * unit + largest / 127);
    }
  });

  test("a lease without a rate is refused with MESSAGE_INVALID", async () => {
    const state = at(stateOf(config), "student");
    await expect(nextRound(trainer, state, { innerLearningRate: undefined })).rejects.toMatchObject({
      code: "MESSAGE_INVALID",
    });
  });

  test("that is not what was sent is sent again, and twice not is REPLICA_DIFFERS", async () => {
    const state = at(stateOf(config), "student");
    const { result: honest } = await nextRound(trainer, state);
    for (const [faults, outcome] of [
      [1, honest],
      // Two loads, the network's and the discriminators', and the second try.
      [3, "REPLICA_DIFFERS"],
    ] as const) {
      let left: number = faults;
      const device = badDriver(await testDevice(), {
        write: (label, bytes) => {
          if (label !== "student origin" || left === 0) return bytes;
          left -= 1;
          return bytes.map((byte, i) => (i === 1000 ? byte ^ 4 : byte));
        },
      });
      const faulty = createTrainer(device, trainerRun(config));
      try {
        if (outcome === "REPLICA_DIFFERS") {
          await expect(nextRound(faulty, state)).rejects.toMatchObject({ code: outcome });
        } else expect((await nextRound(faulty, state)).result).toEqual(outcome);
        expect(left).toBe(0);
      } finally {
        faulty.close();
      }
    }
  });
});

test("differences travel for all that a round trains, C among them, in units that hold 8 for each sample", () => {
  const state = at(stateOf(rounds()), "student");
  const layout = phaseLayout(state.networks, phaseOf("student"), "local");
  expect(layout.tensors.filter((t) => t.name.endsWith(".c")).map((t) => t.kind)).toEqual(["difference", "difference"]);
  expect(exponentsFor(state, "student", layout)[0]).toBe(5 + 3 - 30);
});
