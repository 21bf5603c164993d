// How fast a run goes and when it ends are told of the time in which somebody worked, and not at all where nothing was
// measured.

import { expect, test } from "vitest";
import { engineStatus } from "../../../coordinator/engine/local/engine-status.ts";
import { type Pace, paced, samplesPerSecond } from "../../../coordinator/engine/local/pace.ts";
import { Planner } from "../../../coordinator/engine/local/planner.ts";
import { RoundDriver } from "../../../coordinator/engine/local/round-driver.ts";
import { WorkedTime } from "../../../coordinator/engine/local/worked-time.ts";
import { statusBlock, statusLine } from "../../../coordinator/program/progress-text.ts";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import type { Lease } from "../../../coordinator/round/lease.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { virtualContribution } from "../../../coordinator/simulate/virtual-contribution.ts";
import { progressOf } from "../../../coordinator/state/training-state.ts";
import { InlineTraining } from "../../../coordinator/training/inline-training.ts";
import { leaseMessage, stepSubject } from "../../../coordinator/training/round-plan.ts";
import { TrainingCore } from "../../../coordinator/training/training-core.ts";
import { workerId } from "../../../shared/base/ids.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { contributionFrame } from "../../../worker/session/lease-work.ts";
import { startTestRun } from "../../fixtures/test-run.ts";
import { tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const runTag = "7".repeat(32);
const w1 = workerId("w1");

/** A round of four samples, of one real driver, on a clock that the test turns. */
async function openRound() {
  const state = tinyState(tinyConfig({ method: { ablation: "R" } }));
  const training = new InlineTraining(new TrainingCore(state, runTag));
  let now = 0;
  const leases: Lease[] = [];
  const driver = new RoundDriver({
    training,
    clock: { now: () => now, after: () => () => undefined, every: () => () => undefined },
    microbatch: 2,
    shareLimit: 1,
    lease: state.config.lease,
    outbox: {
      lease: () => undefined,
      accepted: () => undefined,
      rejected: () => undefined,
      dismissed: () => undefined,
      cancelled: () => undefined,
    },
    onGrant: ({ lease }) => leases.push(lease),
    onRequeue: () => undefined,
    onBackup: () => undefined,
  });
  const plan = await new Planner({ training, progress: state, runTag }).plan(
    stepSubject(state, new Ledger()).subject,
    0,
  );
  return {
    driver,
    collected: driver.collect(plan),
    wait: (ms: number) => {
      now += ms;
    },
    answer: async () => {
      const lease = leases.at(-1);
      if (!lease) throw new RangeError("no lease was granted");
      const work = {
        lease: leaseMessage(plan, lease, [{ from: lease.from, to: lease.to }]),
        misdeed: undefined,
        before: undefined,
      } as const;
      const { result } = virtualContribution(work, { microbatch: 2, layout: () => plan.layout });
      await driver.contribute(lease.worker, contributionFrame(work.lease, runTag, { ...result, checksum: 0 }));
    },
  };
}

test("the time of a round in which nobody was there, paused, or had lost its connection, is not in its pace", async () => {
  const { driver, collected, wait, answer } = await openRound();
  wait(3_600_000);
  driver.join(w1);
  wait(60_000);
  driver.ready(w1);
  wait(100);
  driver.suspend(w1);
  wait(500_000);
  driver.resume(w1);
  wait(20);
  driver.pause(w1);
  wait(700_000);
  driver.ready(w1);
  wait(3);
  await answer();
  const sealed = await collected;
  if (sealed === "dropped" || "diverged" in sealed) throw new Error("the round was dropped");
  expect(sealed.workedMs).toBe(123);
});

test("time is counted from one round to the next without a gap, and nothing twice", () => {
  const worked = new WorkedTime();
  worked.note(10, true);
  worked.note(20, true);
  expect(worked.take(30)).toBe(20);
  worked.note(40, false);
  worked.note(90, false);
  expect(worked.take(100)).toBe(10);
  expect(worked.take(200)).toBe(0);
});

const measured: Pace = paced(paced(new Map(), "teacher", 100, 5000), "teacher", 100, 1000);

function statusOf(pace: Pace, working: boolean): RunStatus {
  return engineStatus({
    run: "tiny",
    progress: progressOf(tinyState()),
    ledger: new Ledger(),
    rounds: { progress: { collected: 0, wanted: 4 }, working, workers: working ? 1 : 0, reason: "it waits" },
    target: 2,
    phase: "running",
    evaluating: undefined,
    pace,
    loss: {},
    batchScore: undefined,
    bytes: undefined,
    loopDelay: null,
  });
}

test("a pass's short rest that took long, a worker having died with it, says little of the pace", () => {
  const slow = paced(measured, "teacher", 5, 20_000);
  expect(samplesPerSecond(slow, "teacher")).toBeGreaterThan(samplesPerSecond(measured, "teacher") / 6);
  expect(samplesPerSecond(slow, "teacher")).toBeLessThan(samplesPerSecond(measured, "teacher"));
});

test("while nobody works there is no pace and no end to be told, whatever was measured before", () => {
  expect(statusOf(measured, true)).toMatchObject({ samplesPerSecond: 100, etaSeconds: expect.any(Number) });
  const idle = statusOf(measured, false);
  expect(idle).toMatchObject({ samplesPerSecond: 0, etaSeconds: null });
  expect(statusLine(idle)).toContain("– samples/s  0 workers  ETA –");
  expect(statusBlock(idle, 80).join("\n")).toMatch(/ETA –\n.*\n– samples\/s {2}0 workers/s);
});

test("the first round of a kind, which measures nothing, shows no speed", () => {
  expect(statusLine(statusOf(new Map(), true))).toContain("– samples/s  1 worker  ETA –");
  expect(statusLine(statusOf(paced(new Map(), "teacher", 100, 5000), true))).toContain("– samples/s");
});

test("less than a sample a second is not nothing", () => {
  expect(statusLine({ ...statusOf(measured, true), samplesPerSecond: 0.31 })).toContain("0.3 samples/s");
});

test("a run that lost its last worker says the same at /status, in its status messages and on the terminal", async () => {
  const started = await startTestRun();
  const worker = await started.connect().join();
  for (let i = 0; i < 3; i++) await worker.answer(await worker.lease());
  await expect.poll(async () => (await readStatus(started.url)) as RunStatus).toMatchObject({ step: 3, workers: 1 });
  expect(((await readStatus(started.url)) as RunStatus).samplesPerSecond).toBeGreaterThan(0);
  worker.send({ type: "leave" });
  await expect
    .poll(async () => (await readStatus(started.url)) as RunStatus)
    .toMatchObject({
      workers: 0,
      samplesPerSecond: 0,
      etaSeconds: null,
      reason: "waiting for workers: everybody has left",
    });
});
