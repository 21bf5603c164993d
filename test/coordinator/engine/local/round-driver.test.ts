// The round between its pure decisions and the sum: a real sum, real frames and audits, and a clock that the test
// turns.

import { expect, test } from "vitest";
import { Planner } from "../../../../coordinator/engine/local/planner.ts";
import { RoundDriver } from "../../../../coordinator/engine/local/round-driver.ts";
import type { Lease } from "../../../../coordinator/round/lease.ts";
import { Ledger } from "../../../../coordinator/round/ledger.ts";
import { virtualContribution } from "../../../../coordinator/simulate/virtual-contribution.ts";
import { InlineTraining } from "../../../../coordinator/training/inline-training.ts";
import { leaseMessage, type RoundPlan, stepSubject } from "../../../../coordinator/training/round-plan.ts";
import { TrainingCore } from "../../../../coordinator/training/training-core.ts";
import { workerId } from "../../../../shared/base/ids.ts";
import { contributionFrame } from "../../../../worker/session/lease-work.ts";
import { roundTrust } from "../../../fixtures/round-trust.ts";
import { tinyConfig, tinyState } from "../../../fixtures/tiny-run.ts";

const runTag = "7".repeat(32);
const timeoutMs = 1000;

/** A round of four samples in which every lease is audited; its workers are called as in `names`. */
async function auditedRound(names: readonly string[]) {
  const state = tinyState(
    tinyConfig({
      method: { ablation: "R" },
      codec: "f32",
      batch: 4,
      data: { kind: "idx", trainSamples: 16, testSamples: 4 },
    }),
  );
  const training = new InlineTraining(new TrainingCore(state, runTag));
  let now = 0;
  const tickers: { readonly everyMs: number; readonly tick: () => void }[] = [];
  const every = (everyMs: number, tick: () => void) => {
    tickers.push({ everyMs, tick });
    return () => undefined;
  };
  const clock = { now: () => now, after: () => () => undefined, every };
  const requeued: string[] = [];
  const granted: { lease: Lease; plan: RoundPlan }[] = [];
  const trust = roundTrust({ clip: "none", clock });
  const driver = new RoundDriver({
    training,
    trust,
    clock,
    microbatch: 1,
    shareLimit: 1,
    lease: { ...state.config.lease, timeoutMs, first: 1, minDeadlineMs: timeoutMs },
    outbox: {
      lease: () => undefined,
      accepted: () => undefined,
      rejected: () => undefined,
      cancelled: () => undefined,
    },
    onGrant: (lease, plan) => granted.push({ lease, plan }),
    onRequeue: ({ worker }) => requeued.push(worker),
    onBackup: () => undefined,
  });
  for (const name of names) driver.join(workerId(name));
  const plan = await new Planner({ training, progress: state, runTag }).plan(
    stepSubject(state, new Ledger()).subject,
    0,
  );
  const collected = driver.collect(plan);
  const lent = (name: string, purpose: Lease["purpose"]) => {
    const found = granted.findLast(({ lease }) => lease.worker === name && lease.purpose === purpose);
    if (!found) throw new RangeError(`${name} was granted no ${purpose}`);
    return found;
  };
  return {
    collected,
    ready: (name: string) => driver.ready(workerId(name)),
    /** Answers its newest lease; a lie has all signs turned. */
    answer: async (name: string, purpose: Lease["purpose"], lies = false) => {
      const { lease, plan } = lent(name, purpose);
      const work = {
        lease: leaseMessage(plan, lease),
        misdeed: lies ? "flip" : undefined,
        before: undefined,
      } as const;
      const { result } = virtualContribution(work, { microbatch: 1, layout: () => plan.layout });
      await driver.contribute(workerId(name), contributionFrame(work.lease, runTag, result));
    },
    wait: (ms: number) => {
      now += ms;
    },
    /** Has the driver tick, while the clock stands still, until a lease is taken back; the time of so many ticks. */
    msUntilRequeued: () => {
      const [{ everyMs, tick }] = tickers;
      for (let ms = everyMs; ms <= timeoutMs; ms += everyMs) {
        tick();
        if (requeued.length > 0) return ms;
      }
      return undefined;
    },
  };
}

test("C8 a round that could end while the answer to an audited range is taken ends with that answer in its ranges too", async () => {
  const { collected, ready, answer, wait } = await auditedRound(["a", "b", "c", "d", "e"]);
  for (const name of ["a", "b", "c", "d", "e"]) ready(name);
  // Another answer to a's range is a lie, and half of the round is there, when a answers late: a third is wanted, and
  // not waited for.
  await answer("b", "audit", true);
  await answer("c", "work");
  await answer("d", "work");
  wait(2 * timeoutMs);
  await answer("a", "work");
  const sealed = await collected;
  if (sealed === "dropped" || "diverged" in sealed) throw new Error("the round was dropped");
  const { samples, ranges } = sealed;
  expect(ranges).toEqual([{ from: 0, to: 3 }]);
  expect(samples).toBe(3);
});

test.each([
  { names: ["a"], all: "not all", ms: 200 },
  { names: ["a", "b", "c", "d", "e", "f", "g", "h"], all: "all", ms: 50 },
])("L37 while $all is leased the round ticks each $ms ms", async ({ names, ms }) => {
  const { ready, wait, msUntilRequeued } = await auditedRound(names);
  for (const name of names) ready(name);
  wait(timeoutMs);
  expect(msUntilRequeued()).toBe(ms);
});
