// The duty cycle on a real device: the same bits in other submissions, and the share that was asked for.

import { afterAll, beforeAll, expect, test } from "vitest";
import { createTrainingState, wireBlob } from "../../../coordinator/state/training-state.ts";
import { rng } from "../../../shared/base/rng.ts";
import { parameterSets } from "../../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { systemClock } from "../../../worker/clock.ts";
import { type Duty, DutyCycle } from "../../../worker/trainer/duty-cycle.ts";
import { createTrainer } from "../../../worker/trainer/trainer.ts";
import type { LeaseResult, Trainer } from "../../../worker/trainer/trainer-contract.ts";
import type { TuningEvent } from "../../../worker/tuning/tuning-event.ts";
import { untuned } from "../../../worker/tuning/tuning-options.ts";
import { testDevice } from "../../fixtures/device.ts";
import { planned } from "../../fixtures/planned.ts";
import { tinyConfig, tinyDataset, trainerRun } from "../../fixtures/tiny-run.ts";

const SAMPLES = 96;
const config = tinyConfig({
  model: { kind: "lenet", widths: [4, 6, 33] },
  data: { kind: "idx", trainSamples: SAMPLES, testSamples: 5 },
  batch: SAMPLES,
  microbatch: 8,
});
const state = createTrainingState(config, tinyDataset(config));
const draw = rng(3, "images");
const pixels = Float32Array.from({ length: SAMPLES * 784 }, () => draw.normal());
const input = (from: number, to: number) => ({
  image: pixels.slice(from * 784, to * 784),
  label: Uint32Array.from({ length: to - from }, (_, i) => (from + i) % 10),
});

const told: Duty[] = [];
const tuning: TuningEvent[] = [];
/** What the trainer does to the queue, and how long it let the device rest between. */
const submissions = { count: 0, waits: 0 };
let restedMs = 0;
let duty: DutyCycle;
let trainer: Trainer;
let lease: LeaseMessage;

/** The device with a queue that counts. */
function counting(device: GPUDevice): GPUDevice {
  const of = <T extends object>(target: T, own: Partial<Record<keyof T, unknown>>): T =>
    new Proxy(target, {
      get: (_, name) => {
        if (name in own) return own[name as keyof T];
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const { queue } = device;
  return of(device, {
    queue: of(queue, {
      submit: (commands: GPUCommandBuffer[]) => {
        submissions.count++;
        queue.submit(commands);
      },
      onSubmittedWorkDone: () => {
        submissions.waits++;
        return queue.onSubmittedWorkDone();
      },
    }),
  });
}

beforeAll(async () => {
  duty = new DutyCycle({
    clock: {
      now: systemClock.now,
      after: (ms, call) => {
        const since = systemClock.now();
        return systemClock.after(ms, () => {
          restedMs += systemClock.now() - since;
          call();
        });
      },
    },
    onDuty: (one) => told.push(one),
  });
  const onEvent = (event: TuningEvent) => tuning.push(event);
  trainer = createTrainer(counting(await testDevice()), trainerRun(config), { ...untuned(), onEvent }, duty);
  for (const set of parameterSets(state.networks)) {
    const { hash, bytes } = wireBlob(state, set);
    trainer.loadParameters(set, hash, bytes);
  }
  const { terms } = await planned(state).step();
  lease = { type: "lease", lease: 1, ranges: [{ from: 0, to: SAMPLES }], ...terms };
});
afterAll(() => trainer?.close());

async function compute(): Promise<LeaseResult> {
  const result = await trainer.compute(lease, input, () => false);
  if (result === "aborted") throw new Error("nobody aborted this lease");
  return result;
}

// The first lease compiles dozens of kernels, on two cores that others use as well.
test("at full speed a microbatch is one submission, throttled it is several, and the bits are the same", {
  timeout: 300_000,
}, async () => {
  const whole = await compute();
  // Faster kernels are compiled beside it, and used from the next lease on.
  const improved = () => tuning.some((one) => one.stage === "improving" && one.done === one.total);
  await expect.poll(improved, { timeout: 120_000 }).toBe(true);
  expect(await compute()).toEqual(whole);
  Object.assign(submissions, { count: 0, waits: 0 });
  expect(await compute()).toEqual(whole);
  // Begin, read, and a microbatch each between them; nobody waits for the device but in reading.
  expect(submissions).toEqual({ count: 2 + SAMPLES / config.microbatch, waits: 0 });
  duty.limit(0.5);
  const throttled = await compute();
  expect(throttled).toEqual(whole);
  expect(submissions.waits).toBeGreaterThan(1);
  duty.limit(1);
  Object.assign(submissions, { count: 0, waits: 0 });
  expect(await compute()).toEqual(whole);
  expect(submissions).toEqual({ count: 2 + SAMPLES / config.microbatch, waits: 0 });
});

test.each([0.3, 0.6])(
  "a share of %d is kept within 10 points, by the time that the device was let rest",
  {
    timeout: 300_000,
  },
  async (share) => {
    duty.limit(share);
    // Until it has learnt what launches take.
    await compute();
    const farthest = async () => {
      const [since, rested] = [systemClock.now(), restedMs];
      told.length = 0;
      while (systemClock.now() - since < 4000 || told.length < 2) await compute();
      expect(told.at(-1)?.asked).toBe(share);
      // What the host does between submissions is neither rest nor the device's time: little enough here to be ignored.
      const computed = 1 - (restedMs - rested) / (systemClock.now() - since);
      return Math.max(...[computed, told.at(-1)?.measured ?? 0].map((taken) => Math.abs(taken - share)));
    };
    // On cores that others use as well a host may be kept from its turn for a while: never for this long.
    for (let tries = 1; (await farthest()) >= 0.1; tries++) expect(tries).toBeLessThan(6);
  },
);

test("an aborted lease gives the device no more launches", { timeout: 300_000 }, async () => {
  duty.limit(0.1);
  const before = submissions.count;
  let looks = 0;
  expect(await trainer.compute(lease, input, () => ++looks > 3)).toBe("aborted");
  expect(submissions.count - before).toBeLessThan(1 + 3);
  // And the next one is none the worse for it.
  duty.limit(1);
  expect((await compute()).samples).toBe(SAMPLES);
});
