// Rules C of SPEC.md on the pure round: what counts, and when the training has diverged.

import { expect, test } from "vitest";
import { DIVERGED_REPORTS, UNPROVEN_PATIENCE } from "../../../coordinator/round/divergence.ts";
import { leaseId, type WorkerId, workerId } from "../../../shared/base/ids.ts";
import { codes, inShort, RoundTable, w1, w2, w3 } from "../../fixtures/round-table.ts";

/** The worker asks where it must, and says that its lease is not finite; whether that ends the run. */
function doubts(table: RoundTable, worker: WorkerId): boolean {
  table.ready(worker);
  const { lease } = table.held(worker);
  const effects = table.event({ type: "lease-returned", worker, lease, notFinite: true });
  return effects.some(({ type }) => type === "diverged");
}

/** The second round of a run in whose first these workers' work counted; leases of one microbatch. */
function second(...workers: readonly WorkerId[]): RoundTable {
  const options = { maxMicrobatches: 1, timeoutMs: 10_000 };
  const table = new RoundTable({ from: 0, to: 32 * workers.length }, workers, options);
  for (const worker of workers) table.answer(table.held(worker));
  table.open({ from: 0, to: 32 * 4 }, options);
  return table;
}

test("C1 a contribution counts once: its repetition, another's and one for no lease are refused", () => {
  const table = new RoundTable({ from: 0, to: 128 }, [w1, w2]);
  const [mine, theirs] = table.grants();
  expect(codes(table.event({ type: "contribution", worker: w1, lease: theirs.lease, samples: 64 }))).toEqual([
    "LEASE_UNKNOWN",
  ]);
  expect(codes(table.event({ type: "contribution", worker: w1, lease: leaseId(99), samples: 64 }))).toEqual([
    "LEASE_UNKNOWN",
  ]);
  expect(table.answer(mine)[0]).toMatchObject({ type: "accept", lease: { lease: mine.lease }, samples: 64 });
  expect(codes(table.answer(mine))).toEqual(["CONTRIBUTION_STALE"]);
  expect(table.answer(theirs)).toContainEqual({ type: "seal", ranges: [{ from: 0, to: 128 }] });
  expect(codes(table.answer(theirs))).toEqual(["CONTRIBUTION_STALE"]);
});

test("C2 a contribution of another number of samples is refused and its range leased again", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w1]);
  const effects = table.event({ type: "contribution", worker: w1, lease: leaseId(1), samples: 32 });
  expect(codes(effects)).toEqual(["CONTRIBUTION_MISMATCH"]);
  expect(inShort(effects)).toContain("lapse w1 0-64 refused");
  expect(inShort(table.ready(w1))).toEqual(["grant w1 0-64"]);
});

test("C10 a run has diverged when every worker reports, again and again, that its gradient is not finite", () => {
  const table = second(w1);
  for (let report = 1; report <= DIVERGED_REPORTS; report++) {
    expect(doubts(table, w1)).toBe(report === DIVERGED_REPORTS);
  }
  const two = second(w1, w2);
  two.ready(w2);
  for (let report = 1; report <= DIVERGED_REPORTS; report++) expect(doubts(two, w1)).toBe(false);
});

test("C11 a round that has diverged grants nothing more, whoever has asked", () => {
  const table = second(w1);
  table.open({ from: 0, to: 32 });
  for (let report = 1; report < DIVERGED_REPORTS; report++) doubts(table, w1);
  table.ready(w1);
  // Its range comes back as it waits for another.
  expect(inShort(table.ready(w1, true))).toEqual(["wait"]);
  const { lease } = table.held(w1);
  const effects = table.event({ type: "lease-returned", worker: w1, lease, notFinite: true });
  expect(inShort(effects)).toEqual(["lapse w1 0-32 returned", "diverged"]);
});

test("C12 those whose work never counted end no run while others are away, nor at its beginning without a worker of this machine, for ten times a lease's time", () => {
  const table = second(w1, w2);
  for (const worker of [w1, w2]) table.event({ type: "worker-suspended", worker });
  const liars = [w3, workerId("w4")];
  for (const worker of liars) table.event({ type: "worker-joined", worker });
  for (let i = 0; i < 2 * DIVERGED_REPORTS; i++) {
    table.now += 20_000;
    expect(doubts(table, liars[i % 2])).toBe(false);
  }
  // What half of those who know say, and all who are here, is believed.
  table.event({ type: "worker-resumed", worker: w1 });
  expect(doubts(table, w1)).toBe(true);

  // At a run's beginning nobody is known but who started it.
  const fresh = new RoundTable({ from: 0, to: 64 }, liars, { timeoutMs: 10_000 });
  for (let i = 0; i < 2 * DIVERGED_REPORTS; i++) {
    expect(doubts(fresh, liars[i % 2])).toBe(false);
    fresh.now += UNPROVEN_PATIENCE * 10_000;
  }
  expect(fresh.reason).toContain("6 gradients were not finite");
  const own = new RoundTable([]);
  own.event({ type: "worker-joined", worker: w1, own: true });
  own.ready(w1);
  own.open({ from: 0, to: 64 }, { timeoutMs: 10_000 });
  for (let i = 0; i < DIVERGED_REPORTS; i++) expect(doubts(own, w1)).toBe(false);
  own.now += UNPROVEN_PATIENCE * 10_000 - 1;
  expect(doubts(own, w1)).toBe(false);
  own.now++;
  expect(doubts(own, w1)).toBe(true);
});
