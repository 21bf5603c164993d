// What the tests of inner steps share: small runs that sum gradients or differences, their next round on a real
// trainer, and whether its sum is where the coordinator's own arithmetic goes.

import { expect } from "vitest";
import {
  createTrainingState,
  frozenNetwork,
  type TrainingState,
  wireBlob,
} from "../../../coordinator/state/training-state.ts";
import { RoundSum } from "../../../coordinator/sum/aggregate.ts";
import { rng } from "../../../shared/base/rng.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { placeOf } from "../../../shared/run/program.ts";
import type { MicrobatchInput } from "../../../shared/samples/microbatch.ts";
import type { ContributionLayout } from "../../../shared/wire/contribution.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { frozenForm, parameterSets } from "../../../shared/wire/parameter-set.ts";
import { decodeWhole } from "../../../shared/wire/parameter-update.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import type { Trainer } from "../../../worker/trainer/trainer-contract.ts";
import { planned } from "../../fixtures/planned.ts";
import { tinyConfig, tinyDataset } from "../../fixtures/tiny-run.ts";

export const SAMPLES = 22;
export const MICROBATCH = 8;
const draw = rng(3, "images");
const pixels = Float32Array.from({ length: SAMPLES * 784 }, () => draw.normal());
const labels = Uint32Array.from({ length: SAMPLES }, (_, i) => i % 10);

export function input(from: number, to: number): MicrobatchInput {
  return { image: pixels.slice(from * 784, to * 784), label: labels.slice(from, to) };
}

function configOf(overrides: Record<string, unknown>): RunConfig {
  return tinyConfig({
    model: { kind: "lenet", widths: [4, 6, 33] },
    data: { kind: "idx", trainSamples: SAMPLES, testSamples: 5 },
    microbatch: MICROBATCH,
    adversarial: { warmupEpochs: 0, lambda: 0.5 },
    // Workers then hold the very values that the reference goes on with.
    downlink: { tail: "f32", discriminators: "f32" },
    method: { lambdaKernel: 0.01 },
    optimizer: { learningRate: 0.05, schedule: { kind: "constant" } },
    ...overrides,
  });
}

/** One microbatch a step: what the coordinator makes of gradients. */
export const steps = (overrides = {}) => configOf({ batch: MICROBATCH, ...overrides });
/** A round, of one lease, of so many microbatches: a whole pass unless given. */
export const rounds = (sync: Record<string, unknown> = {}, microbatches = 3) =>
  configOf({ batch: microbatches * MICROBATCH, sync: { kind: "local", ...sync } });

export function stateOf(config: RunConfig): TrainingState {
  return createTrainingState(config, tinyDataset(config));
}

/** Before the first student step, or the first of the BN phase. */
export function at(state: TrainingState, kind: "teacher" | "student" | "bn"): TrainingState {
  const pass = state.program.passes.find((p) => p.phase === kind);
  state.step = pass?.firstStep ?? Number.NaN;
  return state;
}

export function load(trainer: Trainer, state: TrainingState): void {
  for (const set of parameterSets(state.networks)) {
    const { hash, bytes } = wireBlob(state, set);
    if (!trainer.holds(set, hash)) trainer.loadParameters(set, hash, bytes);
  }
  const { hash, bytes } = frozenNetwork(state, "teacher");
  if (!trainer.holdsFrozen("teacher", hash)) {
    trainer.loadFrozen("teacher", hash, decodeWhole(frozenForm(state.networks, state.config, "teacher"), bytes));
  }
}

/**
 * Units far below what any of these values is rounded to elsewhere: a sum of one lease then holds what the device
 * computed.
 */
function fine(layout: ContributionLayout, exponents: readonly number[]): Pick<LeaseMessage, "codec" | "exponents"> {
  return { codec: "f32", exponents: exponents.map((e, t) => (layout.tensors[t].kind === "metric" ? e : -24)) };
}

/** The contribution of the state's whole next round, summed. */
export async function nextRound(
  trainer: Trainer,
  state: TrainingState,
  overrides: Partial<LeaseMessage> | "fine" = {},
) {
  load(trainer, state);
  const plan = await planned(state).step();
  const [range] = plan.ranges;
  const terms = overrides === "fine" ? fine(plan.layout, plan.terms.exponents) : overrides;
  const lease: LeaseMessage = { type: "lease", lease: 1, ranges: [range], ...plan.terms, ...terms };
  const result = await trainer.compute(lease, input, () => false);
  if (result === "aborted") throw new Error("nobody aborted this lease");
  const sum = new RoundSum(plan.layout, lease.exponents, lease.codec);
  sum.add(result.samples, result.peaks, result.body);
  return { sum, result, plan };
}

/**
 * Fails unless the sum's differences are those between the two states, within a share of each tensor's length. One step
 * agrees as f32 agrees with double; then an activation near 0 gets another sign here or there, and gradients go with
 * it.
 */
export function expectDifference(
  layout: ContributionLayout,
  sum: RoundSum,
  from: TrainingState,
  to: TrainingState,
  share: number,
): void {
  const length = (values: Iterable<number>) => Math.hypot(...values);
  const network = placeOf(from.program, from.step, from.config.batch).pass.network;
  for (const { name, kind } of layout.tensors) {
    if (kind === "metric") continue;
    const [before, after] = [parameter(from.parameters[network], name), parameter(to.parameters[network], name)];
    const expected = before.map((v, i) => (kind === "statistic" ? after[i] : v - after[i]));
    const actual = sum.mean(name);
    expect(length(expected), `${name} moves`).toBeGreaterThan(0);
    const error = length(actual.map((v, i) => v - expected[i])) / length(expected);
    // Adam's first steps are near the gradient's sign, which rounding may turn where it is near 0.
    const wide = name.startsWith("discriminator.") ? 5 * share : share;
    expect(error, name).toBeLessThanOrEqual(wide);
  }
}
