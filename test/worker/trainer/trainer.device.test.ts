// The trainer on a real device: what a lease's contribution is, whoever computes it and however it is cut.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { createTrainingState, wireBlob } from "../../../coordinator/state/training-state.ts";
import { convolutionPass, tilings } from "../../../kernels/convolution/convolution-pass.ts";
import { passKey } from "../../../kernels/convolution/pass/pass.ts";
import { type Tiling, tilingName } from "../../../kernels/convolution/pass/tiling.ts";
import { rng } from "../../../shared/base/rng.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import type { MicrobatchInput } from "../../../shared/samples/microbatch.ts";
import { METRICS, phaseLayout } from "../../../shared/wire/contribution.ts";
import { addContribution } from "../../../shared/wire/naive-sum.ts";
import { parameterSets } from "../../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { wireLayout } from "../../../shared/wire/wire-layout.ts";
import { compilePlan } from "../../../worker/plan/plan.ts";
import { storageBuffer } from "../../../worker/plan/recording.ts";
import { deviceTasks } from "../../../worker/tasks/device-tasks.ts";
import { createTrainer } from "../../../worker/trainer/trainer.ts";
import type { LeaseResult, Trainer } from "../../../worker/trainer/trainer-contract.ts";
import type { TuningEvent } from "../../../worker/tuning/tuning-event.ts";
import { type TuningOptions, untuned } from "../../../worker/tuning/tuning-options.ts";
import { TuningMemory } from "../../../worker/tuning/tuning-store.ts";
import { badDriver } from "../../fixtures/bad-driver.ts";
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
    ranges: [{ from, to }],
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
describe.each(["teacher", "student", "bn"] as const)("a %s lease", { timeout: 300_000 }, (kind) => {
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
  const checks = () => tuning.filter(({ stage }) => stage !== "compiling" && stage !== "improving");
  expect(checks()).toEqual([]);
  expect(await compute(leaseOf("student", 0, 8))).toEqual(before);
  // The kernels might have been at fault: others are compared with the naive ones, and these compute until then.
  await expect
    .poll(checks, { timeout: 120_000 })
    .toMatchObject([{ stage: "checking" }, { stage: "checked", refused: [] }]);
});

/** A trainer of its own, and what it says of its kernels. */
function telling(device: GPUDevice, options: Partial<TuningOptions> = {}) {
  const events: TuningEvent[] = [];
  const own = createTrainer(device, run, { ...untuned(), ...options, onEvent: (event) => events.push(event) });
  load(own);
  const ended = (stage: TuningEvent["stage"]) =>
    events.filter((event) => event.stage === stage && !("total" in event && event.done < event.total));
  return { own, events, ended };
}

test("kernels that get faster and are measured while it computes give the same bits before, amid and after", {
  timeout: 240_000,
}, async () => {
  const memory = new TuningMemory(undefined, () => undefined);
  // Long enough to begin on a busy machine; then it goes on until something is learned.
  const { own, events, ended } = telling(await testDevice(), { memory, budgetMs: 500 });
  const whole = leaseOf("teacher", 0, SAMPLES);
  const { weights } = whole;
  const first = leaseOf("teacher", 0, 8);
  const [begun, expected] = [await compute(first), await compute(whole)];
  await own.prepare?.([{ phase: "teacher", weights }], () => false);
  const faster = () => events.filter((event) => event.stage === "improving" && event.done > 0).length;
  /** Each microbatch waits until it would be computed by other kernels than the one before. */
  const later = async (from: number, to: number) => {
    const before = faster();
    while (from > 0 && faster() === before && ended("improving").length === 0)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return input(from, to);
  };
  const amid: number[] = [];
  expect(await own.compute(first, input, () => false)).toEqual(begun);
  do {
    const before = faster();
    expect(await own.compute(whole, later, () => false)).toEqual(expected);
    amid.push(faster() - before);
  } while (ended("measured").length === 0);
  expect(await own.compute(whole, input, () => false)).toEqual(expected);
  own.close();
  // One sum has parts of three sets of kernels.
  expect(Math.max(...amid)).toBeGreaterThan(1);
  expect(events.map(({ stage }) => stage)).not.toContain("checking");
  // Once a phase: what there was no time for is not begun with every size of lease.
  expect(ended("measured")).toHaveLength(1);
  expect((await memory.load("")).passes.length).toBeGreaterThan(0);
});

test("a faster kernel that does not compile is left out for good, and the lease is as it was; the next one is used", {
  timeout: 240_000,
}, async () => {
  const { traits } = untuned();
  const passes = compilePlan({
    networks: state.networks,
    phase: phaseOf("teacher"),
    n: 8,
    adversarialReduce: "mean",
    loss: deviceTasks.get(config.task.kind).loss(config.task),
    accumulate: "exact",
  }).list.passes.values();
  const [pass] = [...passes].filter((one) => one.verb === "convForward" && one.shape.h === 28);
  const [first, second] = tilings(pass, traits);
  const textOf = (tiling: Tiling) => convolutionPass(pass, tiling).kernels[0].wgsl;
  let wrong = "";
  const device = badDriver(await testDevice(), {
    compile: (wgsl) => {
      if (wgsl === textOf(first)) return `${wgsl} nonsense`;
      return wgsl === wrong ? wgsl.replace(/let index = .*;/, "$& if (index < 4000u) { return; }") : wgsl;
    },
  });
  const memory = new TuningMemory(undefined, () => undefined);
  const improved = async () => {
    const { own, events, ended } = telling(device, { memory });
    const results: (LeaseResult | "aborted")[] = [];
    do results.push(await own.compute(lease, input, () => false));
    while (ended("improving").length === 0);
    // What is not written would be what the lease before left there.
    await own.compute(leaseOf("teacher", 8, 16), input, () => false);
    results.push(await own.compute(lease, input, () => false));
    own.close();
    return { results, refused: events.flatMap((event) => (event.stage === "checked" ? event.refused : [])) };
  };
  const lease = leaseOf("teacher", 0, 8);
  const expected = await compute(lease);
  const visit = await improved();
  expect(visit.refused).toEqual([`${passKey(pass)} ${tilingName(first)}: compile`]);
  for (const result of visit.results) expect(result).toEqual(expected);
  // On the next visit it is not tried, and what comes after it computes: else this would not be seen.
  wrong = textOf(second);
  const again = await improved();
  expect(again.refused).toEqual([]);
  expect(again.results[0]).toEqual(expected);
  expect(again.results.at(-1)).not.toEqual(expected);
});

test("what was made ready is not compiled in a lease, and how far it is was said shader by shader", async () => {
  const { own, events } = telling(await testDevice());
  const lease = leaseOf("student", 0, 16);
  const { weights } = lease;
  let soon = 0;
  await own.prepare?.(
    [{ phase: "student", weights }, { phase: "evaluate-student" }],
    () => false,
    () => soon++,
  );
  const compiling = () => events.filter(({ stage }) => stage === "compiling");
  const total = compiling().length - 1;
  expect(total).toBeGreaterThan(20);
  expect(compiling()).toEqual(
    Array.from({ length: total + 1 }, (_, done) => ({ type: "tuning", stage: "compiling", done, total })),
  );
  expect(soon).toBeGreaterThan(0);
  expect(await own.compute(lease, input, () => false)).toEqual(await compute(lease));
  expect(compiling()).toHaveLength(total + 1);
  own.close();
});

test("a software adapter's first run of a phase goes a few launches at a time, and has the same bits", async () => {
  const { traits } = untuned();
  const device = await testDevice();
  const slow = createTrainer(device, run, { ...untuned(), traits: { ...traits, software: true } });
  load(slow);
  const { queue } = device;
  const submit = queue.submit.bind(queue);
  let submitted = 0;
  queue.submit = (buffers) => {
    submitted++;
    submit(buffers);
  };
  try {
    const lease = leaseOf("student", 0, 8);
    const expected = await compute(lease);
    const counted = async () => {
      submitted = 0;
      expect(await slow.compute(lease, input, () => false)).toEqual(expected);
      return submitted;
    };
    const first = await counted();
    // Each faster kernel's first run is one of these, too, until there are no more.
    await expect.poll(counted, { timeout: 120_000 }).toBeLessThan(first - 5);
  } finally {
    queue.submit = submit;
    slow.close();
  }
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
