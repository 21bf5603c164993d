// The round between its pure decisions and the sum: a real sum, real frames and audits, and a clock that the test
// turns.

import { expect, test } from "vitest";
import type { SampleChecks } from "../../../../coordinator/data-checks/data-checks.ts";
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
async function auditedRound(names: readonly string[], sampleChecks?: SampleChecks) {
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
  const verdicts: [worker: string, verdict: string][] = [];
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
      accepted: (worker) => void verdicts.push([worker, "accepted"]),
      rejected: (worker, _, { code }) => void verdicts.push([worker, code]),
      dismissed: () => undefined,
      cancelled: () => undefined,
    },
    onGrant: ({ lease }, plan) => granted.push({ lease, plan }),
    onRequeue: ({ lease }) => requeued.push(lease.worker),
    onBackup: () => undefined,
    ...(sampleChecks && { sampleChecks }),
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
    verdicts,
    requeued,
    tick: () => tickers[0].tick(),
    ready: (name: string) => driver.ready(workerId(name)),
    /** Answers its newest lease; a lie has all signs turned. */
    answer: async (name: string, purpose: Lease["purpose"], lies = false) => {
      const { lease, plan } = lent(name, purpose);
      const work = {
        lease: leaseMessage(plan, lease, [{ from: lease.from, to: lease.to }]),
        misdeed: lies ? "flip" : undefined,
        before: undefined,
      } as const;
      const { result } = virtualContribution(work, { microbatch: 1, layout: () => plan.layout });
      await driver.contribute(workerId(name), contributionFrame(work.lease, runTag, { ...result, checksum: 0 }));
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

/** Checks of samples whose answers the test gives. */
function heldChecks() {
  const granted: [worker: string, purpose: string, audited: boolean][] = [];
  const waits = new Map<string, Promise<void>>();
  const right = new Map<string, number>();
  const accounts = new Map<number, string>();
  const checks: SampleChecks = {
    granted: (lease, _, audited) => {
      const { account, purpose, lease: id } = lease as Lease;
      accounts.set(id, account);
      granted.push([account, purpose, audited]);
    },
    pending: ({ account }) => waits.get(account),
    checksum: (lease) => right.get(accounts.get(lease) ?? ""),
    over: () => undefined,
  };
  return { checks, granted, waits, right };
}

test("C20 what an audit compares is told to the checks as such, the lease and its copy", async () => {
  const { checks, granted } = heldChecks();
  const { ready } = await auditedRound(["a", "b", "c"], checks);
  for (const name of ["a", "b", "c"]) ready(name);
  expect(granted.length).toBeGreaterThan(2);
  expect(new Set(granted.map(([, purpose]) => purpose))).toEqual(new Set(["work", "audit"]));
  expect(granted.every(([, , audited]) => audited)).toBe(true);
});

test("C21 a contribution that waits for its check keeps its lease, and nobody else's waits", async () => {
  const { checks, waits, right } = heldChecks();
  const { ready, answer, wait, tick, verdicts, requeued } = await auditedRound(["a", "b", "c", "d", "e"], checks);
  for (const name of ["a", "b", "c", "d", "e"]) ready(name);
  let go = () => {};
  waits.set(
    "a",
    new Promise((resolve) => {
      go = resolve;
    }),
  );
  right.set("a", 7);
  const waiting = answer("a", "work");
  await answer("c", "work");
  expect(verdicts).toEqual([["c", "accepted"]]);
  wait(2 * timeoutMs);
  tick();
  expect(requeued).not.toContain("a");
  go();
  await waiting;
  // Its frame says 0.
  expect(verdicts).toContainEqual(["a", "DATA_MISMATCH"]);
});
