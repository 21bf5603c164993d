// The trainer on a real device: what a lease's contribution is, whoever computes it and however it is cut.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { createTrainingState, wireBlob } from "../../../coordinator/state/training-state.ts";
import { rng } from "../../../shared/base/rng.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { METRICS, phaseLayout } from "../../../shared/wire/contribution.ts";
import { addContribution } from "../../../shared/wire/naive-sum.ts";
import { parameterSets } from "../../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { wireLayout } from "../../../shared/wire/wire-layout.ts";
import { storageBuffer } from "../../../worker/plan/recording.ts";
import { createTrainer } from "../../../worker/trainer/trainer.ts";
import type { LeaseResult, MicrobatchInput, Trainer } from "../../../worker/trainer/trainer-contract.ts";
import type { TuningEvent } from "../../../worker/tuning/tuning-event.ts";
import { untuned } from "../../../worker/tuning/tuning-options.ts";
import { TuningMemory } from "../../../worker/tuning/tuning-store.ts";
import { freshDevice, testDevice } from "../../fixtures/device.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { tinyConfig, tinyDataset } from "../../fixtures/tiny-run.ts";

const SAMPLES = 22;
const config: RunConfig = tinyConfig({
  model: { kind: "lenet", widths: [4, 6, 33] },
  data: { kind: "idx", trainSamples: SAMPLES, testSamples: 5 },
  batch: 8,
  microbatch: 8,
});
const dataset = tinyDataset(config);
const state = createTrainingState(config, dataset);
const draw = rng(3, "images");
const pixels = Float32Array.from({ length: SAMPLES * 784 }, () => draw.normal());
const labels = Uint32Array.from({ length: SAMPLES }, (_, i) => i % 10);

function input(from: number, to: number): MicrobatchInput {
  return { image: pixels.slice(from * 784, to * 784), label: labels.slice(from, to) };
}

const run = { config, dataset, program: phasesOf(config).outline };

function layoutOf(phase: string) {
  return phaseLayout(state.networks, phaseOf(phase));
}

function leaseOf(phase: string, from: number, to: number, overrides: Partial<LeaseMessage> = {}): LeaseMessage {
  const { network, partners } = phaseOf(phase);
  return {
    type: "lease",
    lease: 1,
    phase,
    network,
    step: 0,
    round: 0,
    pass: 0,
    epoch: 0,
    split: "train",
    from,
    to,
    parametersHash: wireBlob(state, network).hash,
    partners: Object.fromEntries(partners.map((set) => [set, wireBlob(state, set).hash])),
    weights: { adversarial: 1 },
    codec: "exact",
    era: 0,
    exponents: exponentsFor(state, phase, layoutOf(phase)),
    timeoutMs: 60_000,
    frozen: { teacher: wireBlob(state, "teacher").hash },
    ...overrides,
  };
}

function load(trainer: Trainer): void {
  for (const set of parameterSets(state.networks)) {
    const { hash, bytes } = wireBlob(state, set);
    trainer.loadParameters(set, hash, bytes);
  }
  const { hash, bytes } = wireBlob(state, "teacher");
  trainer.loadFrozen("teacher", hash, bytes);
}

function integers(result: LeaseResult): Int32Array {
  return new Int32Array(result.body.slice().buffer);
}

let trainer: Trainer;
const tuning: TuningEvent[] = [];
beforeAll(async () => {
  trainer = createTrainer(await testDevice(), run, {
    ...untuned(),
    onEvent: (event) => tuning.push(event),
  });
  load(trainer);
});
afterAll(() => trainer?.close());

async function compute(lease: LeaseMessage, source = input): Promise<LeaseResult> {
  const result = await trainer.compute(lease, source, () => false);
  if (result === "aborted") throw new Error("nobody aborted this lease");
  return result;
}

// The first lease of a kind compiles dozens of kernels, on two cores that others use as well.
describe.each(["teacher", "student", "bn"] as const)("a %s lease", { timeout: 180_000 }, (kind) => {
  test("is the sum of its parts to the bit, cut at any microbatch and with a short one at the end", async () => {
    const whole = await compute(leaseOf(kind, 0, SAMPLES));
    const parts = [await compute(leaseOf(kind, 0, 8)), await compute(leaseOf(kind, 8, SAMPLES))];
    expect(whole.samples).toBe(SAMPLES);
    const sum = integers(parts[0]).map((value, i) => value + integers(parts[1])[i]);
    expect(integers(whole)).toEqual(sum);
    const peaks = parts[0].peaks.map((peak, i) => Math.max(peak, parts[1].peaks[i]));
    expect(whole.peaks).toEqual(peaks);
  });

  test("repeated gives the same bits", async () => {
    const [a, b] = [await compute(leaseOf(kind, 0, 16)), await compute(leaseOf(kind, 0, 16))];
    expect(b).toEqual(a);
  });

  test("has a gradient in every tensor that the round trains", async () => {
    const { peaks } = await compute(leaseOf(kind, 0, 16));
    const silent = layoutOf(kind).tensors.filter((_, t) => peaks[t] === 0);
    expect(silent.map((t) => t.name)).toEqual([]);
  });
});

test.each(["f32", "f16", "int8"] as const)(
  "the %s codec carries what exact carries, within its own rounding",
  async (codec) => {
    const layout = layoutOf("student");
    const exponents = exponentsFor(state, "student", layout);
    const sums: Map<string, Float64Array>[] = [];
    for (const used of ["exact", codec] as const) {
      const { body, samples } = await compute(leaseOf("student", 0, 16, { codec: used }));
      const sum = new Float64Array(layout.size);
      const wire = wireLayout(layout, used);
      addContribution(wire, body, samples, exponents, sum);
      sums.push(new Map(wire.tensors.map(({ name, at, size }) => [name, sum.subarray(at, at + size)])));
    }
    layout.tensors.forEach((tensor) => {
      const [exact, other] = sums.map((sum) => sum.get(tensor.name)!);
      const largest = exact.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
      const error = exact.reduce((max, v, i) => Math.max(max, Math.abs(v - other[i])), 0);
      expect(error, tensor.name).toBeLessThanOrEqual(
        4 + largest * { f32: 2 ** -20, f16: 2 ** -11, int8: 1 / 127 }[codec],
      );
    });
  },
);

test("signs hand on what they could not say from lease to lease, and start anew in another era", async () => {
  const signs = (era: number) => compute(leaseOf("student", 0, 16, { codec: "sign", era }));
  const [first, second, other] = [await signs(1), await signs(1), await signs(2)];
  expect(second.body).not.toEqual(first.body);
  expect([other.body, other.peaks]).toEqual([first.body, first.peaks]);
  const kept = await signs(2);
  kept.discard?.();
  expect((await signs(2)).body).toEqual(first.body);
});

test("an evaluation counts whole samples", async () => {
  const layout = layoutOf("evaluate-student");
  const lease = leaseOf("evaluate-student", 0, SAMPLES);
  const sum = integers(await compute(lease));
  const metrics = layout.tensors.findIndex((t) => t.name === METRICS);
  const offset = layout.tensors[metrics].offset;
  const [, top1, top5] = [0, 1, 2].map((i) => sum[offset + i] * 2 ** lease.exponents[metrics]);
  expect(top1).toBeGreaterThanOrEqual(0);
  expect(top5).toBeGreaterThanOrEqual(top1);
  expect(top5).toBeLessThanOrEqual(SAMPLES);
  expect(Math.abs(top1 - Math.round(top1))).toBeLessThan(0.01);
});

test("a pixel that is not a number is refused with GRADIENT_NOT_FINITE, and the next lease is not touched by it", async () => {
  const before = await compute(leaseOf("student", 0, 8));
  const poisoned = (from: number, to: number) => {
    const good = input(from, to);
    good.image[5] = Number.NaN;
    return good;
  };
  await expect(compute(leaseOf("student", 0, 8), poisoned)).rejects.toMatchObject({ code: "GRADIENT_NOT_FINITE" });
  const checks = () => tuning.filter(({ stage }) => stage !== "compiling");
  expect(checks()).toEqual([]);
  expect(await compute(leaseOf("student", 0, 8))).toEqual(before);
  // The kernels might have been at fault: they were compared with the naive ones.
  expect(checks()).toMatchObject([{ stage: "checking" }, { stage: "checked", refused: [] }]);
});

test("a trainer that tunes its kernels gives the same bits, and remembers what it measured", async () => {
  const memory = new TuningMemory(undefined, () => undefined);
  const stages: string[] = [];
  let one = false;
  const tuned = createTrainer(await testDevice(), run, {
    ...untuned(),
    memory,
    budgetMs: 60_000,
    onEvent: (event) => {
      stages.push(event.stage);
      one ||= event.stage === "measuring" && event.done === 1;
    },
  });
  load(tuned);
  const lease = leaseOf("student", 0, 16);
  const { weights } = lease;
  // The largest pass is enough.
  await tuned.prepare?.([{ phase: "student", weights }], () => one);
  expect(await tuned.compute(lease, input, () => false)).toEqual(await compute(lease));
  tuned.close();
  expect([...new Set(stages)]).toEqual(["measuring", "measured", "compiling"]);
  // Once a phase: what there was no time for is not begun with every size of lease.
  expect(stages.filter((stage) => stage === "measured")).toHaveLength(1);
  expect((await memory.load("")).passes.length).toBeGreaterThan(0);
});

test("what was made ready is not compiled in a lease, and how far it is was said shader by shader", async () => {
  const events: TuningEvent[] = [];
  const ready = createTrainer(await testDevice(), run, { ...untuned(), onEvent: (event) => events.push(event) });
  load(ready);
  const lease = leaseOf("student", 0, 16);
  const { weights } = lease;
  await ready.prepare?.([{ phase: "student", weights }, { phase: "evaluate-student" }], () => false);
  const total = events.length - 1;
  expect(total).toBeGreaterThan(20);
  expect(events).toEqual(
    Array.from({ length: total + 1 }, (_, done) => ({ type: "tuning", stage: "compiling", done, total })),
  );
  expect(await ready.compute(lease, input, () => false)).toEqual(await compute(lease));
  expect(events).toHaveLength(total + 1);
  ready.close();
});

test("a worker that is wanted no more stops making ready", async () => {
  const events: TuningEvent[] = [];
  const left = createTrainer(await testDevice(), run, { ...untuned(), onEvent: (event) => events.push(event) });
  await left.prepare?.([{ phase: "teacher" }], () => events.length > 2);
  // One is told for each that was under way, and the end.
  expect(events.length).toBeLessThan(15);
  left.close();
});

test("a lease that names other parameters is refused with CONTRIBUTION_STALE", async () => {
  const lease = leaseOf("student", 0, 8, { parametersHash: "0".repeat(64) });
  await expect(compute(lease)).rejects.toMatchObject({ code: "CONTRIBUTION_STALE" });
  const others = leaseOf("student", 0, 8, { partners: { discriminators: "0".repeat(64) } });
  await expect(compute(others)).rejects.toMatchObject({ code: "CONTRIBUTION_STALE" });
});

test("parameters of another size are refused with FRAME_CORRUPT", () => {
  expect(() => trainer.loadParameters("student", "0".repeat(64), new Uint8Array(12))).toThrow(
    expect.objectContaining({ code: "FRAME_CORRUPT" }),
  );
});

test("an aborted lease stops between microbatches", async () => {
  let asked = 0;
  const result = await trainer.compute(leaseOf("student", 0, SAMPLES), input, () => ++asked > 1);
  expect(result).toBe("aborted");
});

test("a buffer over the adapter's limit is refused with PLAN_TOO_LARGE, which says both sizes", async () => {
  const device = await testDevice();
  const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  expect(() => storageBuffer(device, "slot 3", limit + 4)).toThrow(
    expect.objectContaining({ code: "PLAN_TOO_LARGE", message: expect.stringContaining(`${limit + 4} bytes`) }),
  );
});

test("a device that goes away ends the lease with DEVICE_LOST", async () => {
  const device = await freshDevice();
  const doomed = createTrainer(device, run);
  load(doomed);
  const computing = doomed.compute(leaseOf("student", 0, SAMPLES), input, () => false);
  device.destroy();
  await expect(computing).rejects.toMatchObject({ code: "DEVICE_LOST" });
  await expect(doomed.lost).resolves.toContain("destroyed");
});
