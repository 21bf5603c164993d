// The duty cycle in virtual time, on devices whose launches take what the test says.

import { expect, test } from "vitest";
import { LEAST_SHARE } from "../../../shared/base/gpu-share.ts";
import { rng } from "../../../shared/base/rng.ts";
import {
  type Duty,
  DutyCycle,
  MOST_BUSY_MS,
  MOST_CREDIT_MS,
  SUBMISSION_MS,
  TOLD_EVERY_MS,
  unmeasuredCosts,
  WINDOW_MS,
} from "../../../worker/trainer/duty-cycle.ts";
import { VirtualClock } from "./virtual-clock.ts";

interface World {
  /** How late timers are. */
  readonly lateMs?: number;
  /** What happens at the host beside each microbatch: decoding, and waiting for the next lease. */
  readonly hostMs?: number;
  /** How long it takes to hear that something is computed. */
  readonly latencyMs?: number;
  /** And at most so much longer, as it is drawn. */
  readonly jitterMs?: number;
}

/** A trainer that plays a recording of launches of these lengths again and again. */
function stage(launchMs: readonly number[], { lateMs = 0, hostMs = 0, latencyMs = 0, jitterMs = 0 }: World = {}) {
  const clock = new VirtualClock();
  const draw = rng(1, "latency");
  const told: Duty[] = [];
  const late = { now: () => clock.now(), after: (ms: number, call: () => void) => clock.after(ms + lateMs, call) };
  const duty = new DutyCycle({ clock: late, onDuty: (one) => told.push(one) });
  const costs = unmeasuredCosts(launchMs.length);
  /** Each submission's launches, and what it took. */
  const submissions: { readonly launches: number; readonly ms: number }[] = [];
  let busyMs = 0;
  let freeAt = 0;
  const microbatch = async () => {
    for (let from = 0; from < launchMs.length; ) {
      await duty.rested();
      const to = duty.limited ? duty.cut(costs, from) : launchMs.length;
      const ms = launchMs.slice(from, to).reduce((sum, one) => sum + one, 0);
      const submit = () => {
        submissions.push({ launches: to - from, ms });
        busyMs += ms;
        freeAt = Math.max(freeAt, clock.now()) + ms;
      };
      const heardMs = () => latencyMs + jitterMs * draw.uniform();
      await duty.run({ costs, from, to }, submit, () => clock.takes(Math.max(0, freeAt - clock.now()) + heardMs()));
      from = to;
    }
    await clock.takes(hostMs);
  };
  /** Plays for so long; the share of it that the device computed. */
  const play = (ms: number) =>
    clock.play(
      (async () => {
        const [since, busyBefore] = [clock.now(), busyMs];
        while (clock.now() - since < ms) await microbatch();
        // As a lease's sum is read.
        await clock.takes(Math.max(0, freeAt - clock.now()));
        duty.settled();
        return (busyMs - busyBefore) / (clock.now() - since);
      })(),
    );
  return { clock, duty, told, submissions, microbatch, play };
}

const shares = [LEAST_SHARE, 0.3, 0.5, 0.6, 0.9];
/** A fast GPU, a slow one, one launch that nobody can split among many, and a single long one. */
const devices: readonly (readonly number[])[] = [
  Array.from({ length: 40 }, () => 0.1),
  Array.from({ length: 60 }, (_, i) => 1 + (i % 7)),
  [...Array.from({ length: 40 }, () => 0.5), 180, 1, 1, 1],
  [700],
];

test.each(shares.flatMap((share) => devices.map((launches, device) => [share, device, launches] as const)))(
  "a share of %d is kept on device %i, within 5 points over 100 s and 10 in what is told",
  async (share, _device, launches) => {
    const { duty, told, play } = stage(launches);
    duty.limit(share);
    expect(Math.abs((await play(100_000)) - share)).toBeLessThan(0.05);
    // A launch that takes a good part of the window comes in whole.
    if (launches.length === 1) return;
    const measured = told.flatMap((one) => one.measured ?? []).slice(Math.ceil(WINDOW_MS / TOLD_EVERY_MS));
    expect(measured.length).toBeGreaterThan(40);
    for (const one of measured) expect(Math.abs(one - share), `${measured}`).toBeLessThan(0.1);
  },
);

test("what is told of a device that is busy for a second at a time has its rests in it", async () => {
  const { duty, told, play } = stage([1100]);
  duty.limit(0.5);
  await play(20_000);
  const [first] = told.flatMap((one) => one.measured ?? []);
  expect(Math.abs(first - 0.5)).toBeLessThan(0.1);
});

test("late timers and the host's own pauses are made up for", async () => {
  for (const world of [{ lateMs: 40 }, { hostMs: 15 }, { lateMs: 15, hostMs: 5 }]) {
    const { duty, play } = stage(devices[1], world);
    duty.limit(0.6);
    expect(Math.abs((await play(30_000)) - 0.6), JSON.stringify(world)).toBeLessThan(0.05);
  }
});

test.each([0.1, 0.3, 0.6, 0.9])(
  "where it takes 12 ms to hear of a submission, a share of %d is as fast as it says",
  async (share) => {
    for (const launches of devices.slice(0, 3)) {
      const { duty, play } = stage(launches, { latencyMs: 12 });
      duty.limit(share);
      await play(5000);
      expect(Math.abs((await play(30_000)) - share), `${launches}`).toBeLessThan(0.06);
    }
  },
);

test("on a busy machine, where it takes 1 to 25 ms to hear of a submission, shares are as fast as they say", async () => {
  for (const share of [0.3, 0.6]) {
    const { duty, play } = stage(devices[1], { latencyMs: 1, jitterMs: 24 });
    duty.limit(share);
    await play(10_000);
    expect(Math.abs((await play(60_000)) - share), `${share}`).toBeLessThan(0.05);
  }
});

test("submissions are short where launches are, and short recordings share one", async () => {
  const slow = stage(devices[1]);
  slow.duty.limit(0.5);
  await slow.play(10_000);
  const learnt = slow.submissions.slice(devices[1].length).map(({ ms }) => ms);
  expect(Math.max(...learnt)).toBeLessThanOrEqual(2 * SUBMISSION_MS);
  const fast = stage(devices[0]);
  fast.duty.limit(0.5);
  await fast.play(10_000);
  // Whole recordings, in one submission each, of which many make a turn.
  expect(fast.submissions.slice(-20).map(({ launches }) => launches)).toContain(devices[0].length);
});

test("at full speed nothing is cut, nobody waits for the device, and nothing is told", async () => {
  const { clock, duty, told, submissions, microbatch } = stage([400, 400, 400]);
  await clock.play(microbatch());
  // The device has 1.2 s of work, and its owner went on at once.
  expect([clock.now(), submissions]).toEqual([0, [{ launches: 3, ms: 1200 }]]);
  duty.limit(0.5);
  duty.limit(1);
  expect(told).toEqual([{ asked: 0.5 }, { asked: 1 }]);
});

test("a share that is changed in the middle of a rest counts at once", async () => {
  const { clock, duty, microbatch, play } = stage([1000]);
  duty.limit(LEAST_SHARE);
  await clock.play(microbatch());
  const since = clock.now();
  const next = microbatch();
  await clock.play(clock.takes(500));
  duty.limit(1);
  await clock.play(next);
  // 9 s of rest were due.
  expect(clock.now() - since).toBe(500);
  duty.limit(0.5);
  expect(Math.abs((await play(30_000)) - 0.5)).toBeLessThan(0.05);
});

test("a worker that waited long saves up no more than a second, and a new watch begins", async () => {
  const { clock, duty, told, play } = stage(devices[1]);
  duty.limit(0.3);
  await play(10_000);
  await clock.play(clock.takes(60_000));
  told.length = 0;
  const share = await play(2000);
  expect(share * 2000).toBeLessThan(0.3 * (2000 + MOST_CREDIT_MS) + 4 * SUBMISSION_MS);
  expect(told[0].measured).toBeGreaterThan(0.2);
});

test("a machine that slept while it computed rests no longer than for a long launch", async () => {
  const { clock, duty, microbatch } = stage([7_200_000, 7_200_000, 7_200_000, 7_200_000]);
  duty.limit(0.5);
  await clock.play(microbatch());
  const since = clock.now();
  await clock.play(duty.rested());
  expect(clock.now() - since).toBe(MOST_BUSY_MS);
});

test("what a readback waited for counts as computed, and the rest for it comes before the next lease", async () => {
  const clock = new VirtualClock();
  const duty = new DutyCycle({ clock });
  duty.limit(0.5);
  const costs = unmeasuredCosts(1);
  await duty.run(
    { costs, from: 0, to: 1 },
    () => undefined,
    () => clock.takes(1e9),
  );
  await clock.play(clock.takes(80));
  duty.settled();
  await clock.play(duty.rested());
  expect(clock.now()).toBe(160);
  expect(costs[0]).toBe(80);
});

test.each([0, 0.09, 1.01, Number.NaN])("a share of %d is refused", (share) => {
  const duty = new DutyCycle({ clock: new VirtualClock() });
  expect(() => duty.limit(share)).toThrow(`a share of ${LEAST_SHARE} to 1 is due; got ${share}`);
});
