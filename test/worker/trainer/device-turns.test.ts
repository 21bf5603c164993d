// Who has the device, and for how long: whoever measures kernels takes short turns, and leases go on between them; what
// is done beside them goes step by step.

import { expect, test } from "vitest";
import { BesideJobs } from "../../../worker/trainer/beside-jobs.ts";
import { almostDone } from "../../../worker/trainer/compile-ahead.ts";
import { DeviceTurns, REST } from "../../../worker/trainer/device-turns.ts";
import { VirtualClock } from "./virtual-clock.ts";

function stage() {
  const clock = new VirtualClock();
  const log: string[] = [];
  /** When what leases have submitted is computed. */
  let drainedAt = 0;
  const turns = new DeviceTurns({ clock, drained: () => clock.takes(Math.max(0, drainedAt - clock.now())) });
  const measure = async (name: string, ms: number) => {
    await turns.take(async () => {
      log.push(`${name} from ${clock.now()}`);
      await clock.takes(ms);
    });
    log.push(`${name} to ${clock.now()}`);
  };
  /** A lease whose microbatches are submitted every 10 ms, each computed 25 ms after it was. */
  const lease = async (microbatches: number) => {
    turns.begin();
    const at: number[] = [];
    for (let i = 0; i < microbatches; i++) {
      await turns.pass();
      at.push(clock.now());
      drainedAt = clock.now() + 25;
      await clock.takes(10);
    }
    turns.end();
    return at;
  };
  return { clock, log, turns, measure, lease };
}

test("a turn comes between two microbatches, once what was submitted is computed, and the next after a rest", async () => {
  const { clock, log, measure, lease } = stage();
  const measuring = async () => {
    await clock.takes(5);
    await measure("a", 20);
    await measure("b", 20);
  };
  const [at] = await clock.play(Promise.all([lease(25), measuring()]));
  // Asked for at 5, given at 10, the device free at 25; its wait counts as taken from the leases.
  const taken = 45 - 10;
  expect(log.slice(0, 2)).toEqual(["a from 25", "a to 45"]);
  expect(at.slice(0, 3)).toEqual([0, 45, 55]);
  const second = Number(log[2].replace("b from ", ""));
  expect(second).toBeGreaterThanOrEqual(45 + REST * taken);
  expect(second).toBeLessThan(45 + REST * taken + 10 + 25);
});

test("where no lease is computed there is a turn at once, and after a rest; a lease that begins waits for its end", async () => {
  const { clock, log, measure, lease } = stage();
  const measuring = async () => {
    await measure("a", 10);
    await measure("b", 10);
  };
  const late = async () => {
    await clock.takes(10 + REST * 10 + 5);
    return lease(1);
  };
  const [, at] = await clock.play(Promise.all([measuring(), late()]));
  expect(log).toEqual(["a from 0", "a to 10", `b from ${10 + REST * 10}`, `b to ${20 + REST * 10}`]);
  expect(at).toEqual([20 + REST * 10]);
});

test("a turn that fails ends like any other, and one that waits at the end is let go", async () => {
  const { clock, log, turns, measure } = stage();
  await expect(clock.play(turns.take(() => Promise.reject(new Error("lost"))))).rejects.toThrow("lost");
  turns.begin();
  const waiting = measure("a", 1);
  turns.close();
  await clock.play(waiting);
  expect(log).toEqual(["a from 0", "a to 1"]);
});

/** Steps of 10 ms each. */
function jobsStage() {
  const clock = new VirtualClock();
  const jobs = new BesideJobs(clock);
  const log: string[] = [];
  async function* job(name: string, steps: number, then: (step: number) => void = () => undefined) {
    for (let step = 0; step < steps; step++) {
      await clock.takes(10);
      log.push(`${name}${step} at ${clock.now()}`);
      then(step);
      yield;
    }
  }
  return { clock, jobs, log, job };
}

test("jobs beside the leases go one step after another, an urgent one between the steps of others", async () => {
  const { clock, jobs, log, job } = jobsStage();
  const fail = () => {
    throw new Error("what it wanted is asked for again");
  };
  const ended = new Promise<void>((resolve) => {
    const add = () =>
      jobs.add(
        job("urgent", 2, () => expect(jobs.pressed).toBe(false)),
        { urgent: true },
      );
    jobs.add(
      job("a", 2, (step) => {
        if (step === 0) add();
        expect(jobs.pressed).toBe(step === 0);
      }),
    );
    jobs.add(job("b", 2, fail));
    jobs.add(job("c", 1, () => resolve()));
  });
  await clock.play(ended);
  expect(log).toEqual(["a0 at 10", "urgent0 at 20", "urgent1 at 30", "a1 at 40", "b0 at 50", "c0 at 60"]);
});

test("a job that rests does so as long as its steps, unless something urgent comes", async () => {
  const { clock, jobs, log, job } = jobsStage();
  const ended = new Promise<void>((resolve) => {
    jobs.add(
      job("a", 3, (step) => step === 2 && resolve()),
      { rests: true },
    );
  });
  clock.after(35, () => jobs.add(job("urgent", 1), { urgent: true }));
  await clock.play(ended);
  expect(log).toEqual(["a0 at 10", "a1 at 30", "urgent0 at 45", "a2 at 55"]);
});

test.each([
  ["nothing is known before a part is compiled", { done: 0, total: 40, elapsedMs: 0 }, false],
  ["the first say little", { done: 5, total: 40, elapsedMs: 10 }, false],
  ["half of a second that is gone", { done: 20, total: 40, elapsedMs: 1000 }, true],
  ["half of a minute that is gone", { done: 20, total: 40, elapsedMs: 60_000 }, false],
  ["a slow driver's last one", { done: 39, total: 40, elapsedMs: 60_000 }, true],
])("a lease is asked for when kernels are almost compiled: %s", (_, progress, wanted) => {
  expect(almostDone(progress)).toBe(wanted);
});
