// Rules L and C of SPEC.md, on the pure round: who is leased what, and what counts.

import { expect, test } from "vitest";
import { CopiesDue } from "../../../coordinator/round/copies-due.ts";
import { DIVERGED_REPORTS, UNPROVEN_PATIENCE } from "../../../coordinator/round/divergence.ts";
import { newestOf } from "../../../coordinator/round/roster.ts";
import { LEFT_OUT_ROUNDS } from "../../../coordinator/round/round-grants.ts";
import type { Lease } from "../../../coordinator/round/round-state.ts";
import { leaseId, type WorkerId, workerId } from "../../../shared/ids.ts";
import { auditOf, codes, inShort, RoundTable, w1, w2, w3 } from "../../fixtures/round-table.ts";

/** Three rounds in which each worker answers one lease, so that the speeds are known: samples a second by worker. */
function known(speeds: Readonly<Record<string, number>>): RoundTable {
  const workers = Object.keys(speeds).map(workerId);
  const table = new RoundTable({ from: 0, to: 32 * workers.length }, workers, { maxMicrobatches: 1 });
  for (let round = 0; round < 3; round++) {
    const leases = table.grants();
    const start = table.now;
    const byTime = [...leases].sort((a, b) => speeds[b.worker] - speeds[a.worker]);
    for (const lease of byTime) {
      table.now = start + 32_000 / speeds[lease.worker];
      table.answer(lease);
      table.ready(lease.worker);
    }
    if (round < 2) table.open({ from: 0, to: 32 * workers.length }, { maxMicrobatches: 1, timeoutMs: 100_000 });
  }
  return table;
}

test("L1 a ready worker is leased whole microbatches, one lease at a time", () => {
  const table = new RoundTable({ from: 128, to: 256 });
  table.event({ type: "worker-joined", worker: w1 });
  table.ready(w1);
  expect(table.grants()).toMatchObject([{ worker: w1, purpose: "work", from: 128, to: 256, expires: 1000 }]);
  expect(table.ready(w1)).toEqual([]);
  expect(table.state.phase).toBe("collecting");
});

test("L2 the round is split among those who wait, so that all finish at about the same time", () => {
  const table = new RoundTable({ from: 0, to: 128 }, [w1, w2]);
  expect(inShort(table.effects)).toEqual(["grant w1 0-64", "grant w2 64-128"]);
});

test("L2 shares follow measured speed", () => {
  const table = known({ w1: 300, w2: 100 });
  table.open({ from: 0, to: 512 }, { timeoutMs: 100_000 });
  expect(inShort(table.effects)).toEqual(["grant w1 0-384", "grant w2 384-512"]);
});

test("L2 a worker is leased no more than it says that it can hold", () => {
  const table = new RoundTable({ from: 0, to: 256 });
  table.event({ type: "worker-joined", worker: w1, maxMicrobatches: 3 });
  table.ready(w1);
  expect(table.grants()).toMatchObject([{ from: 0, to: 96 }]);
  table.answer(table.held(w1));
  table.event({ type: "worker-ready", worker: w1, maxMicrobatches: 2 });
  expect(table.grants()).toMatchObject([{ from: 96, to: 160 }]);
});

test("Y4 where a lease is a replica's inner steps, the round is split into one lease a worker, to the last microbatch", () => {
  // Thirds of ten microbatches are rounded to three.
  const table = new RoundTable({ from: 0, to: 320 }, [w1, w2, w3], { oneLease: true, ahead: false });
  expect(inShort(table.effects)).toEqual(["grant w1 0-96", "grant w2 96-224", "grant w3 224-320"]);
  const speeds = known({ w1: 300, w2: 100 });
  speeds.open({ from: 0, to: 512 }, { oneLease: true, ahead: false, timeoutMs: 100_000 });
  expect(inShort(speeds.effects)).toEqual(["grant w1 0-384", "grant w2 384-512"]);
});

test("Y4 whoever has had its lease waits for those who have not, until the round is late; what comes back is leased again", () => {
  const table = known({ w1: 100, w2: 100 });
  table.event({ type: "worker-paused", worker: w2 });
  table.open({ from: 0, to: 256 }, { oneLease: true, ahead: false, timeoutMs: 100_000, maxMicrobatches: 4 });
  expect(inShort(table.effects)).toEqual(["grant w1 0-128"]);
  table.event({ type: "worker-ready", worker: w2 });
  expect(inShort(table.effects)).toEqual(["grant w2 128-256"]);
  table.answer(table.held(w1));
  expect(inShort(table.ready(w1))).toEqual(["wait"]);
  expect(inShort(table.event({ type: "worker-left", worker: w2 }))).toEqual([
    "lapse w2 128-256 left",
    "grant w1 128-256",
  ]);
});

test("L3 a lease that expires is cancelled and goes to the head of the queue; its late answer is stale", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w1], { deadlineMs: 10_000 });
  const [first] = table.grants();
  table.event({ type: "worker-joined", worker: w2 });
  expect(table.ready(w2)).toEqual([{ type: "wait", worker: w2 }]);
  expect(table.tick(999)).toEqual([]);
  expect(inShort(table.tick(1))).toEqual(["lapse w1 0-64 expired", "cancel w1 0-64 expired", "grant w2 0-64"]);
  expect(codes(table.answer(first))).toEqual(["CONTRIBUTION_STALE"]);
  expect(table.answer(table.held(w2)).map(({ type }) => type)).toEqual(["accept", "seal"]);
});

test("L3 a worker that let a lease expire gets smaller ones, down to a microbatch", () => {
  const table = new RoundTable({ from: 0, to: 256 }, [w1]);
  const sizes: number[] = [];
  for (let i = 0; i < 4; i++) {
    const [grant] = table.grants();
    sizes.push((grant.to - grant.from) / 32);
    table.tick(1000);
    table.ready(w1);
  }
  expect(sizes[0]).toBe(8);
  expect(sizes[1]).toBe(2);
  expect(sizes.slice(2)).toEqual([1, 1]);
});

test("L4 a worker that leaves, pauses or returns its lease costs nothing but its time", () => {
  for (const event of [
    { type: "worker-left", worker: w1 },
    { type: "worker-paused", worker: w1 },
    { type: "lease-returned", worker: w1, lease: leaseId(1), notFinite: false },
  ] as const) {
    const table = new RoundTable({ from: 0, to: 96 }, [w1]);
    expect(table.grants()).toHaveLength(1);
    expect(table.event(event)).toMatchObject([{ type: "lapse", again: true, lease: { from: 0, to: 96 } }]);
    table.event({ type: "worker-joined", worker: w2 });
    expect(inShort(table.ready(w2))).toEqual(["grant w2 0-96"]);
  }
});

test("L5 the reason says what the round waits for", () => {
  const table = new RoundTable({ from: 0, to: 128 });
  expect(table.reason).toBe("waiting for workers: nobody has joined");
  table.event({ type: "worker-joined", worker: w1 });
  expect(table.reason).toBe("0/1 workers, 0/128 samples, waiting for workers: 1 joined, none computes");
  const pair = new RoundTable({ from: 0, to: 128 }, [w1, w2]);
  pair.now = 600;
  pair.answer(pair.held(w1));
  expect(pair.reason).toBe("2/2 workers, 64/128 samples, waiting for w2 (1 s)");
  const late = known({ w1: 300, w2: 100 });
  late.open({ from: 0, to: 128 }, { seal: "deadline", deadlineMs: 20_000, timeoutMs: 100_000 });
  late.answer(late.held(w1));
  late.tick(8800);
  expect(late.reason).toBe("2/2 workers, 96/128 samples, seal in 11.2 s, waiting for w2 (stalled 9 s)");
});

test("L6 what workers asked between two rounds is answered when the next one opens", () => {
  const table = new RoundTable({ from: 0, to: 32 }, [w1]);
  expect(table.answer(table.held(w1)).at(-1)?.type).toBe("seal");
  expect(table.ready(w1)).toEqual([{ type: "wait", worker: w1 }]);
  table.event({ type: "applied" });
  table.event({ type: "committed" });
  expect(table.state.phase).toBe("committed");
  table.open({ from: 32, to: 64 });
  expect(table.grants()).toMatchObject([{ worker: w1, lease: 2, from: 32, to: 64 }]);
});

test("L9 from 85 % of the deadline on, what is outstanding is lent to the fastest idle worker, the oldest lease first", () => {
  const table = known({ w1: 400, w2: 200, w3: 100 });
  const timing = { deadlineMs: 1000, timeoutMs: 100_000, maxMicrobatches: 1 };
  table.event({ type: "worker-joined", worker: workerId("w4") });
  table.ready(workerId("w4"));
  table.open({ from: 0, to: 128 }, timing);
  expect(table.grants()).toHaveLength(4);
  for (const worker of [w2, w1]) {
    table.answer(table.held(worker));
    table.ready(worker);
  }
  expect(table.tick(849)).toEqual([]);
  const [slow, unknown] = [table.held(w3), table.held(workerId("w4"))];
  // Granted at once: the one whose speed nobody knows counts as the slowest.
  expect(table.tick(1)).toMatchObject([
    { type: "grant", lease: { purpose: "backup", worker: w1, from: unknown.from, twin: unknown.lease } },
    { type: "grant", lease: { purpose: "backup", worker: w2, from: slow.from, twin: slow.lease } },
  ]);
  expect(table.tick(5)).toEqual([]);
});

test("L9 a lease whose worker's connection is lost is lent at once, and counts for whoever answers first", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w1, w2]);
  const mine = table.held(w1);
  table.event({ type: "worker-suspended", worker: w1 });
  table.answer(table.held(w2));
  expect(inShort(table.ready(w2))).toEqual(["grant w2 0-32 backup"]);
  table.event({ type: "worker-resumed", worker: w1 });
  expect(inShort(table.answer(mine))).toEqual(["accept w1 0-32", "cancel w2 0-32 answered", "seal 0-64"]);
});

test("L10 the first answer to a range wins; the other holder is told to stop, and its answer is stale", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w1, w2]);
  const [first, other] = table.grants();
  table.answer(other);
  table.tick(900);
  table.ready(w2);
  const [backup] = table.grants();
  expect(backup).toMatchObject({ purpose: "backup", worker: w2, from: first.from, to: first.to });
  expect(inShort(table.answer(backup))).toEqual(["accept w2 0-32", "cancel w1 0-32 answered", "seal 0-64"]);
  expect(codes(table.answer(first))).toEqual(["CONTRIBUTION_STALE"]);
});

test("L10 a range has two holders at most, and is in the queue again only when both are gone", () => {
  const table = new RoundTable({ from: 0, to: 32 }, [w1]);
  for (const worker of [w2, w3]) {
    table.event({ type: "worker-joined", worker });
    table.ready(worker);
  }
  expect(inShort(table.tick(900))).toEqual(["grant w2 0-32 backup"]);
  expect(inShort(table.event({ type: "worker-left", worker: w1 }))).toEqual([
    "lapse w1 0-32 left",
    "grant w3 0-32 backup",
  ]);
  expect(table.event({ type: "worker-left", worker: w3 })).toMatchObject([{ type: "lapse", again: false }]);
  expect(table.event({ type: "worker-left", worker: w2 })).toMatchObject([{ type: "lapse", again: true }]);
  expect(table.state.unleased).toEqual([{ from: 0, to: 32 }]);
});

test("L10 nobody backs up a worker of the same account", () => {
  const table = new RoundTable({ from: 0, to: 32 });
  for (const worker of [w1, w2]) {
    table.event({ type: "worker-joined", worker, account: "one" });
    table.ready(worker);
  }
  expect(table.state.leases.size).toBe(1);
  expect(table.tick(900)).toEqual([]);
});

test("L11 a late round ends with what is there, when at least half is, and tells the others", () => {
  const table = new RoundTable({ from: 0, to: 128 }, [w1, w2], { seal: "deadline", timeoutMs: 10_000 });
  const [mine, theirs] = table.grants();
  expect(inShort(table.answer(mine))).toEqual(["accept w1 0-64"]);
  expect(inShort(table.tick(999))).toEqual([]);
  expect(inShort(table.tick(1))).toEqual(["cancel w2 64-128 sealed", "seal 0-64"]);
  expect(codes(table.answer(theirs))).toEqual(["CONTRIBUTION_STALE"]);
  const less = new RoundTable({ from: 0, to: 96 }, [w1, w2], { seal: "deadline", timeoutMs: 10_000 });
  less.answer(less.grants()[1]);
  expect(inShort(less.tick(5000))).toEqual([]);
  expect(inShort(less.answer(less.held(w1)))).toEqual(["accept w1 0-64", "seal 0-96"]);
});

test("L11 a round of all its samples is never late, and a contribution that is being checked is waited for", () => {
  const table = new RoundTable({ from: 0, to: 128 }, [w1, w2], { timeoutMs: 10_000 });
  table.answer(table.held(w1));
  expect(inShort(table.tick(5000))).toEqual([]);
  const late = new RoundTable({ from: 0, to: 128 }, [w1, w2], { seal: "deadline", timeoutMs: 1200 });
  const [mine, theirs] = late.grants();
  late.answer(mine);
  late.event({ type: "contribution-received", worker: w2, lease: theirs.lease });
  expect(inShort(late.tick(2000))).toEqual([]);
  expect(inShort(late.answer(theirs))).toEqual(["accept w2 64-128", "seal 0-128"]);
});

test("L12 ranges that were carried over are leased first", () => {
  const table = new RoundTable(
    [
      { from: 32, to: 64 },
      { from: 128, to: 256 },
    ],
    [w1, w2],
  );
  expect(inShort(table.effects)).toEqual(["grant w1 32-64", "grant w2 128-224"]);
  table.answer(table.held(w1));
  expect(inShort(table.ready(w1))).toEqual(["grant w1 224-256"]);
});

test("L13 a worker may hold the lease that it goes on with, whose clock starts with the answer to the first", () => {
  const table = new RoundTable({ from: 0, to: 256 }, [w1], { maxMicrobatches: 3 });
  table.ready(w1, true);
  expect(table.grants()).toMatchObject([{ from: 96, to: 192, startedAt: null, expires: Number.POSITIVE_INFINITY }]);
  // Who holds two is waited for once.
  expect(table.reason).toBe("1/1 workers, 0/256 samples, waiting for w1 (0 s)");
  expect(table.ready(w1, true)).toEqual([{ type: "wait", worker: w1 }]);
  table.now = 700;
  const [first] = [...table.state.leases.values()].sort((a, b) => a.lease - b.lease);
  expect(inShort(table.answer(first))).toEqual(["accept w1 0-96", "grant w1 192-256"]);
  expect(table.state.leases.get(leaseId(2))).toMatchObject({ startedAt: 700, expires: 1700 });
  // Who lets one expire does not sit on the other.
  expect(inShort(table.tick(1000))).toEqual([
    "lapse w1 192-256 expired",
    "cancel w1 192-256 expired",
    "lapse w1 96-192 expired",
    "cancel w1 96-192 expired",
  ]);
  expect(table.state.unleased).toEqual([
    { from: 96, to: 192 },
    { from: 192, to: 256 },
  ]);
});

test("L13 an idle worker comes before one that would hold a second lease, and nobody holds more than its share", () => {
  const table = new RoundTable({ from: 0, to: 128 }, [w1, w2], { maxMicrobatches: 1 });
  table.ready(w1, true);
  expect(table.grants()).toMatchObject([{ worker: w1, from: 64 }]);
  table.answer(table.held(w2));
  expect(inShort(table.ready(w2))).toEqual(["grant w2 96-128"]);
  const single = new RoundTable({ from: 0, to: 128 }, [w1], { maxMicrobatches: 1, ahead: false });
  expect(single.ready(w1, true)).toEqual([{ type: "wait", worker: w1 }]);
});

test("L14 a worker for which a microbatch takes longer than all the rest is left out, and tried again after eight rounds", () => {
  const table = known({ w1: 3200, w2: 100 });
  const open = () => table.open({ from: 0, to: 64 }, { timeoutMs: 100_000 });
  for (let round = 1; round < LEFT_OUT_ROUNDS; round++) {
    open();
    expect(table.grants().map(({ worker }) => worker)).toEqual([w1]);
    table.now += 20;
    table.answer(table.held(w1));
    // Half of the round each, as the speed says.
    table.ready(w1);
    for (const lease of table.grants()) table.answer(lease);
    table.ready(w1);
  }
  open();
  expect(table.grants().map(({ worker }) => worker)).toContain(w2);
});

test("L15 an audit is the same range for another account, counts nothing, and is dropped when the round is late", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w1, w2]);
  const [mine] = table.grants();
  const copy = auditOf(mine, [mine.account], 1);
  table.event({ type: "copy-wanted", copy });
  table.answer(mine);
  expect(table.ready(w1)).toEqual([{ type: "wait", worker: w1 }]);
  table.answer(table.held(w2));
  // All samples are there, and w2 may still compute the audit; once it is gone nothing is waited for.
  expect(table.state.phase).toBe("collecting");
  table.event({ type: "worker-left", worker: w2 });
  expect(table.state.phase).toBe("sealed");

  const slow = new RoundTable({ from: 0, to: 64 }, [w1, w2]);
  slow.event({ type: "copy-wanted", copy });
  slow.answer(slow.held(w2));
  expect(inShort(slow.ready(w2))).toEqual(["grant w2 0-32 audit"]);
  expect(inShort(slow.answer(slow.held(w1)))).toEqual(["accept w1 0-32"]);
  expect(inShort(slow.tick(1000))).toContain("seal 0-64");

  const done = new RoundTable({ from: 0, to: 64 }, [w1, w2]);
  done.event({ type: "copy-wanted", copy });
  done.answer(done.held(w2));
  done.ready(w2);
  done.answer(done.held(w1));
  expect(inShort(done.answer(done.held(w2)))).toEqual(["accept w2 0-32", "seal 0-64"]);
});

test("L15 with all samples there an audit is waited for a fortieth of their time, or a tenth of the least deadline, and in a first round longer", () => {
  const audited = (answeredAfterMs: number, paced = true) => {
    const options = { timeoutMs: 60_000, deadlineMs: 60_000, minDeadlineMs: 2000, paced };
    const table = new RoundTable({ from: 0, to: 64 }, [w1, w2], options);
    const { from, to, account } = table.held(w1);
    table.event({ type: "copy-wanted", copy: auditOf({ from, to }, [account], 1) });
    table.tick(answeredAfterMs);
    table.answer(table.held(w1));
    table.answer(table.held(w2));
    expect(inShort(table.ready(w2))).toEqual([`grant w2 ${from}-${to} audit`]);
    return table;
  };
  for (const [answeredAfterMs, patienceMs, paced] of [
    [400, 200, true],
    [16_000, 400, true],
    [400, 500, false],
    [16_000, 1000, false],
  ] as const) {
    const table = audited(answeredAfterMs, paced);
    expect(table.tick(patienceMs - 1)).toEqual([]);
    expect(inShort(table.tick(1))).toContain("seal 0-64");
  }
  // What is withdrawn is collected again, and the time counts from then.
  const withdrawn = audited(400);
  withdrawn.event({ type: "contribution-withdrawn", account: "w1", from: 0, to: 32 });
  expect(inShort(withdrawn.tick(5000))).not.toContain("seal 0-64");
});

test("L15 an auditor that will not be done in time is not waited for", () => {
  const options = { deadlineMs: 1_000_000, timeoutMs: 1_000_000, minDeadlineMs: 2000 };
  const sealsAtOnce = (auditor: WorkerId) => {
    const table = known({ w1: 400, w2: 400, w3: 20 });
    table.open({ from: 0, to: 32 * 8 }, options);
    const { from, to, account } = table.held(w1);
    const copy = auditOf({ from, to }, [account], 1);
    table.state = { ...table.state, copies: CopiesDue.of([{ copy, auditor }]) };
    if (auditor === w3) table.tick(0);
    while (table.state.collected.size < 32 * 8) {
      const next = [...table.state.leases.values()].find(({ purpose }) => purpose !== "audit");
      if (!next) throw new Error("nobody computes");
      table.answer(next);
      table.ready(next.worker);
    }
    return table.state.phase === "sealed";
  };
  expect(sealsAtOnce(w3)).toBe(true);
  expect(sealsAtOnce(w2)).toBe(false);
});

test("L15 an answer that decides between two that differ is waited for, until the round takes twice as long as it may", () => {
  for (const seal of ["complete", "deadline"] as const) {
    const table = new RoundTable({ from: 0, to: 96 }, [w1, w2, w3], { timeoutMs: 9000, seal });
    const { from, to } = table.held(w1);
    table.event({ type: "copy-wanted", copy: auditOf({ from, to }, [w1, w2], 1) });
    for (const worker of [w1, w2, w3]) table.answer(table.held(worker));
    expect(table.tick(1000)).toEqual([]);
    expect(inShort(table.ready(w3))).toEqual([`grant w3 ${from}-${to} audit`]);
    expect(table.tick(999)).toEqual([]);
    expect(inShort(table.tick(1))).toContain("seal 0-96");
  }
});

test("Z17 an audit is for an account that is drawn, not for the first that asks, until the round nears its end", () => {
  const workers = Array.from({ length: 8 }, (_, i) => workerId(`v${i}`));
  const auditors = new Set<string>();
  for (let draw = 0; draw < 64; draw++) {
    const table = new RoundTable({ from: 0, to: 256 }, workers);
    const { account, from, to } = table.held(workers[0]);
    table.event({ type: "copy-wanted", copy: auditOf({ from, to }, [account], draw) });
    const granted = () => table.grants().find(({ purpose }) => purpose === "audit");
    for (const worker of workers) {
      table.answer(table.held(worker));
      table.ready(worker);
      const lease = granted();
      if (lease) auditors.add(lease.account);
      if (lease) break;
    }
  }
  // Whoever asks first is drawn as seldom as the others.
  expect([...auditors].sort()).toEqual(workers.slice(1));

  const table = new RoundTable({ from: 0, to: 256 }, workers);
  const [, second, ...others] = workers;
  const draw = Array.from({ length: 64 }, (_, seed) => seed).find((seed) => {
    table.event({ type: "copy-wanted", copy: auditOf({ from: 0, to: 32 }, [workers[0]], seed) });
    return [...table.state.copies].at(-1)?.auditor !== second;
  });
  expect(draw).toBeDefined();
  const [due] = [...table.state.copies].slice(-1);
  table.state = { ...table.state, copies: CopiesDue.of([due]) };
  table.answer(table.held(second));
  expect(inShort(table.ready(second))).toEqual(["wait"]);
  expect(inShort(table.tick(850))).toContain("grant v1 0-32 audit");
  expect(others).toContain(due.auditor);
});

test("Z17 no audit goes to the address of the audited where others are", () => {
  const table = new RoundTable({ from: 0, to: 32 * 6 });
  const workers = Array.from({ length: 6 }, (_, i) => workerId(`v${i}`));
  workers.forEach((worker, i) => {
    table.event({ type: "worker-joined", worker, address: i < 5 ? "one" : "another" });
    table.ready(worker);
  });
  const audit = (to: number) => {
    for (let draw = 0; draw < 32; draw++) {
      table.event({ type: "copy-wanted", copy: auditOf({ from: 0, to }, [workers[0]], draw) });
    }
    return new Set([...table.state.copies].filter(({ copy }) => copy.to === to).map(({ auditor }) => auditor));
  };
  expect([...audit(32)]).toEqual([workers[5]]);
  table.event({ type: "worker-left", worker: workers[5] });
  expect([...audit(64)].sort()).toEqual(workers.slice(1, 5));
});

test("L15 a contribution that is not believed is withdrawn, and its range leased again", () => {
  const table = new RoundTable({ from: 0, to: 96 }, [w1, w2, w3]);
  const [, middle] = table.grants();
  table.answer(middle);
  table.event({ type: "contribution-withdrawn", account: middle.account, from: 32, to: 64 });
  expect(table.state.collected.size).toBe(0);
  expect(inShort(table.ready(w2))).toEqual(["grant w2 32-64"]);
});

test("L16 of ten accounts none holds more than its share of a round, until the round is late", () => {
  const workers = Array.from({ length: 10 }, (_, i) => workerId(`v${i}`));
  const table = new RoundTable({ from: 0, to: 32 * 20 }, workers, { shareLimit: 0.1, maxMicrobatches: 2 });
  expect(table.grants()).toHaveLength(10);
  const few = new RoundTable({ from: 0, to: 32 * 20 }, workers.slice(1), { shareLimit: 0.1, maxMicrobatches: 2 });
  few.answer(few.held(workers[1]));
  few.ready(workers[1]);
  expect(few.grants()).toHaveLength(1);
  const options = { shareLimit: 0.1, maxMicrobatches: 2, timeoutMs: 9000 };
  const late = new RoundTable({ from: 0, to: 32 * 20 }, workers, options);
  late.event({ type: "lease-returned", worker: workers[0], lease: late.held(workers[0]).lease, notFinite: false });
  late.answer(late.held(workers[1]));
  expect(late.ready(workers[1])).toEqual([{ type: "wait", worker: workers[1] }]);
  expect(inShort(late.tick(1000)).filter((effect) => effect.startsWith("grant"))).toEqual(["grant v1 0-64"]);
});

test("L16 a worker that is paused, away, at rest or has not asked yet is none of the ten", () => {
  const options = { shareLimit: 0.1, maxMicrobatches: 2, timeoutMs: 9000 };
  const workers = Array.from({ length: 11 }, (_, i) => workerId(`v${i}`));
  const [first, second, third] = workers;
  for (const type of ["worker-paused", "worker-suspended", "account-rests"] as const) {
    const table = new RoundTable({ from: 0, to: 32 * 30 }, workers, options);
    const gone = (worker: WorkerId) =>
      table.event(type === "account-rests" ? { type, account: worker } : { type, worker });
    const next = () => {
      table.answer(table.held(third));
      return table.ready(third);
    };
    // Ten are left: a tenth is three microbatches, of which it had two.
    gone(first);
    expect(next(), type).toHaveLength(1);
    expect(next(), type).toEqual([{ type: "wait", worker: third }]);
    expect(inShort(gone(second)).at(-1), type).toMatch(/^grant v2 /);
  }
  const early = new RoundTable({ from: 0, to: 32 * 20 }, workers.slice(0, 9), options);
  for (const worker of workers.slice(9)) early.event({ type: "worker-joined", worker });
  early.answer(early.held(third));
  expect(inShort(early.ready(third))).toEqual(["grant v2 576-640"]);
});

test("Z12 what an account computes when its rest begins goes to others, and what it asked for it gets afterwards", () => {
  const table = new RoundTable({ from: 0, to: 128 }, [w1, w2], { maxMicrobatches: 2 });
  table.ready(w1, true);
  expect(inShort(table.event({ type: "account-rests", account: w1 }))).toEqual([
    "lapse w1 0-64 rests",
    "cancel w1 0-64 rests",
  ]);
  expect(table.tick(1)).toEqual([]);
  expect(inShort(table.event({ type: "worker-rested", worker: w1 }))).toEqual(["grant w1 0-64"]);
  // One that asked for nothing rests until it asks.
  table.event({ type: "account-rests", account: w2 });
  table.event({ type: "worker-rested", worker: w2 });
  expect(table.state.roster.accounts.get(w2)).toBeUndefined();
  expect(inShort(table.ready(w2))).toEqual(["grant w2 64-128"]);
});

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

test("C3 a run has diverged when every worker reports, again and again, that its gradient is not finite", () => {
  const table = second(w1);
  for (let report = 1; report <= DIVERGED_REPORTS; report++) {
    expect(doubts(table, w1)).toBe(report === DIVERGED_REPORTS);
  }
  const two = second(w1, w2);
  two.ready(w2);
  for (let report = 1; report <= DIVERGED_REPORTS; report++) expect(doubts(two, w1)).toBe(false);
});

test("C3 those whose work never counted end no run while others are away, at its beginning not before ten times a lease's time is over", () => {
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

  const fresh = new RoundTable({ from: 0, to: 64 }, liars, { timeoutMs: 10_000 });
  for (let i = 0; i < 2 * DIVERGED_REPORTS; i++) expect(doubts(fresh, liars[i % 2])).toBe(false);
  fresh.now += UNPROVEN_PATIENCE * 10_000 - 1;
  expect(doubts(fresh, w3)).toBe(false);
  fresh.now++;
  expect(doubts(fresh, w3)).toBe(true);
});

test("L18 leases come in pieces: a part of the share of what nobody holds, down to a grain", () => {
  const table = known({ w1: 100, w2: 100 });
  table.open({ from: 0, to: 32 * 64 }, { pieces: 2, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  const microbatches = () => table.grants().map(({ from, to }) => (to - from) / 32);
  const sizes = microbatches();
  expect(sizes).toEqual([16, 12]);
  for (;;) {
    const held = table.held(w1);
    table.now += (1000 * (held.to - held.from)) / 100;
    table.answer(held);
    table.ready(w1);
    const [size] = microbatches();
    if (size === undefined) break;
    sizes.push(size);
  }
  expect(sizes.slice(1)).toEqual(sizes.slice(1).sort((x, y) => y - x));
  // A quarter of a half of its share of 64.
  expect(sizes.slice(0, -1).every((size) => size >= 4)).toBe(true);
  expect(sizes.length).toBeGreaterThan(5);
});

test("L19 the first leases of a worker are small, and one measurement at most doubles a speed", () => {
  const table = new RoundTable({ from: 0, to: 32 * 64 }, [w1], { first: 1, pieces: 1, timeoutMs: 100_000 });
  const sizes: number[] = [];
  for (let i = 0; i < 3; i++) {
    const lease = table.held(w1);
    sizes.push((lease.to - lease.from) / 32);
    table.now += 1000 * sizes[i];
    table.answer(lease);
    table.ready(w1);
  }
  expect(sizes).toEqual([1, 2, 4]);
  const speedOf = () => table.state.roster.members.get(w1)?.speeds.student?.samplesPerSecond;
  expect(speedOf()).toBe(32);
  table.answer(table.held(w1));
  expect(speedOf()).toBeCloseTo(32 + 0.3 * 32);
});

test("L20 when all is leased, what is overdue or will end last is lent to an idle worker that ends it sooner", () => {
  const table = known({ w1: 400, w2: 100 });
  table.open({ from: 0, to: 32 * 10 }, { pieces: 2, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  const theirs = table.held(w2);
  for (;;) {
    const held = table.held(w1);
    table.now += (1000 * (held.to - held.from)) / 400;
    table.answer(held);
    table.ready(w1);
    if (table.grants().length === 0) break;
  }
  expect(table.state.unleased).toEqual([]);
  const helped = inShort(table.tick(2000));
  expect(helped).toEqual([`grant w1 ${theirs.from}-${theirs.to} backup`]);
  // Both are overdue: the first makes room for a third.
  expect(inShort(table.tick(20_000))).toEqual([`cancel w2 ${theirs.from}-${theirs.to} expired`]);
  const whole = known({ w1: 400, w2: 100 });
  whole.open({ from: 0, to: 64 }, { maxMicrobatches: 1, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  whole.answer(whole.held(w1));
  whole.ready(w1);
  expect(whole.tick(2000)).toEqual([]);
});

test("L19 in a kind's first round leases are short at first: who comes early does not take what those who come later could", () => {
  const options = { pieces: 4, timeoutMs: 1_000_000, deadlineMs: 1_000_000 };
  const secondsOf = ({ from, to }: { readonly from: number; readonly to: number }) => (to - from) / 100;
  const usual = known({ w1: 100, w2: 100 });
  usual.open({ from: 0, to: 32 * 1000 }, { ...options, paced: true });
  expect(secondsOf(usual.held(w1))).toBeGreaterThan(20);
  const table = known({ w1: 100, w2: 100 });
  table.open({ from: 0, to: 32 * 1000 }, { ...options, paced: false });
  expect(secondsOf(table.held(w1))).toBeLessThanOrEqual(1);
  table.now += 20_000;
  table.answer(table.held(w1));
  table.ready(w1);
  const later = secondsOf(table.held(w1));
  expect(later).toBeGreaterThan(3);
  expect(later).toBeLessThanOrEqual(5);
});

test("L20 what a lost connection holds is lent to a fast worker that asks, before it is given what nobody has begun", () => {
  const table = known({ w1: 400, w2: 100 });
  table.open({ from: 0, to: 32 * 10 }, { pieces: 2, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  const [theirs, mine] = [table.held(w2), table.held(w1)];
  table.event({ type: "worker-suspended", worker: w2 });
  table.now += 100;
  table.answer(mine);
  expect(table.state.unleased.length).toBeGreaterThan(0);
  expect(inShort(table.ready(w1))).toEqual([`grant w1 ${theirs.from}-${theirs.to} backup`]);
});

test("L20 of two holders the one that will end last makes room for an idle worker that will end it sooner than both", () => {
  const table = known({ w1: 400, w2: 100, w3: 50 });
  const options = { pieces: 2, timeoutMs: 1_000_000, deadlineMs: 1_000_000, maxMicrobatches: 1 };
  table.event({ type: "worker-paused", worker: w1 });
  table.open({ from: 0, to: 64 }, options);
  const [slow, theirs] = [table.held(w3), table.held(w2)];
  table.event({ type: "worker-suspended", worker: w3 });
  table.now += 10;
  table.answer(theirs);
  table.ready(w2);
  expect(inShort(table.tick(0))).toEqual([]);
  const range = `${slow.from}-${slow.to}`;
  expect(table.held(w2)).toMatchObject({ purpose: "backup", from: slow.from });
  table.event({ type: "worker-resumed", worker: w3 });
  table.event({ type: "worker-suspended", worker: w2 });
  table.now += 10;
  table.ready(w1);
  expect(inShort(table.tick(0))).toEqual([`cancel w2 ${range} expired`, `grant w1 ${range} backup`]);
  expect(table.held(w3)).toMatchObject({ from: slow.from, twin: table.held(w1).lease });
});

test("Z17 no audit goes to an account to be avoided where others are", () => {
  const workers = Array.from({ length: 6 }, (_, i) => workerId(`v${i}`));
  const table = new RoundTable({ from: 0, to: 32 * 6 }, workers);
  const auditors = (not: readonly string[], avoid: readonly string[]) => {
    for (let draw = 0; draw < 32; draw++) {
      table.event({ type: "copy-wanted", copy: auditOf({ from: 0, to: 32 }, not, draw, avoid) });
    }
    return new Set([...table.state.copies].slice(-32).map(({ auditor }) => auditor));
  };
  const [first, ...others] = workers;
  expect([...auditors([first], others.slice(0, 3))].sort()).toEqual(others.slice(3));
  expect([...auditors([first, ...others.slice(3)], others.slice(0, 3))].sort()).toEqual(others.slice(0, 3));
});

test("Z17 an audit is computed by a worker that is there, whoever of its account has left", () => {
  const table = new RoundTable({ from: 0, to: 64 });
  const [alone, older, newer] = [w1, w2, w3];
  table.event({ type: "worker-joined", worker: alone, account: "a" });
  for (const worker of [older, newer]) table.event({ type: "worker-joined", worker, account: "b" });
  for (const worker of [alone, older, newer]) table.ready(worker);
  expect(newestOf(table.state.roster, "b")?.[0]).toBe(newer);
  table.event({ type: "worker-left", worker: newer });
  expect(newestOf(table.state.roster, "b")?.[0]).toBe(older);
  table.event({ type: "worker-left", worker: older });
  expect(newestOf(table.state.roster, "b")).toBeUndefined();
});

test("L22 an audit is drawn for an account that will be done with it about when the round is, where there is one", () => {
  const options = { deadlineMs: 1_000_000, timeoutMs: 1_000_000 };
  const audits = (table: RoundTable, { from, to, account }: Lease) =>
    Array.from({ length: 20 }, (_, draw) => {
      return inShort(table.event({ type: "copy-wanted", copy: auditOf({ from, to }, [account], draw) }));
    });
  const table = known({ w1: 400, w2: 400, w3: 20 });
  table.open({ from: 0, to: 32 * 26 }, options);
  // The third is too slow for any work, and waits.
  audits(table, table.held(w1));
  expect(new Set([...table.state.copies].map(({ auditor }) => auditor))).toEqual(new Set(["w2"]));
  expect(table.state.copies.size).toBe(20);

  const two = known({ w1: 400, w3: 20 });
  two.open({ from: 0, to: 32 * 26 }, options);
  audits(two, two.held(w1));
  expect([...two.state.copies].every(({ auditor }) => auditor === w3)).toBe(true);
});

test("L21 a range that expired with one holder is not lent again while the other has it, and is then leased in pieces that fit", () => {
  const table = new RoundTable({ from: 0, to: 256 }, [w1], { timeoutMs: 1000, deadlineMs: 500 });
  table.event({ type: "worker-joined", worker: w2 });
  table.tick(600);
  expect(inShort(table.ready(w2))).toEqual(["grant w2 0-256 backup"]);
  table.tick(400);
  expect(table.ready(w1)).toEqual([{ type: "wait", worker: w1 }]);
  table.tick(600);
  const [again] = table.grants();
  expect(again).toMatchObject({ worker: w1, purpose: "work", from: 0 });
  expect(again.to).toBeLessThan(256);
});
