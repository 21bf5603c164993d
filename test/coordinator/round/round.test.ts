// Rules L of SPEC.md, on the pure round: who is leased what, and when it ends.

import { expect, test } from "vitest";
import { LEFT_OUT_ROUNDS } from "../../../coordinator/round/grants.ts";
import { leaseId, type WorkerId, workerId } from "../../../shared/base/ids.ts";
import { codes, inShort, knownTable, RoundTable, w1, w2, w3 } from "../../fixtures/round-table.ts";

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
  const table = knownTable({ w1: 300, w2: 100 });
  table.open({ from: 0, to: 512 }, { timeoutMs: 100_000 });
  expect(inShort(table.effects)).toEqual(["grant w1 0-384", "grant w2 384-512"]);
});

test("L41 a worker is leased no more than it says that it can hold", () => {
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
  const speeds = knownTable({ w1: 300, w2: 100 });
  speeds.open({ from: 0, to: 512 }, { oneLease: true, ahead: false, timeoutMs: 100_000 });
  expect(inShort(speeds.effects)).toEqual(["grant w1 0-384", "grant w2 384-512"]);
});

test("Y9 whoever has had its lease waits for those who have not, until the round is late; what comes back is leased again", () => {
  const table = knownTable({ w1: 100, w2: 100 });
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
  expect(table.reason).toBe("0/1 workers, 0/128 samples, w1 prepares");
  table.event({ type: "worker-paused", worker: w1 });
  expect(table.reason).toBe("0/1 workers, 0/128 samples, waiting for workers: 1 joined, none computes");
  const pair = new RoundTable({ from: 0, to: 128 }, [w1, w2]);
  pair.now = 600;
  pair.answer(pair.held(w1));
  expect(pair.reason).toBe("2/2 workers, 64/128 samples, waiting for w2 (1 s)");
  const late = knownTable({ w1: 300, w2: 100 });
  late.open({ from: 0, to: 128 }, { seal: "deadline", deadlineMs: 20_000, timeoutMs: 100_000 });
  late.answer(late.held(w1));
  late.tick(8800);
  expect(late.reason).toBe("2/2 workers, 96/128 samples, seal in 11.2 s, waiting for w2 (stalled 9 s)");
});

test("Z14 who is idle because its account has had what one may is counted in the reason, with the setting", () => {
  const workers = Array.from({ length: 10 }, (_, i) => workerId(`w${i + 1}`));
  const table = new RoundTable({ from: 0, to: 640 }, workers, { shareLimit: 0.1, maxMicrobatches: 1 }).goOn();
  expect(table.reason).not.toContain("idle");
  for (const worker of [w1, w2]) {
    for (const again of [true, false]) {
      table.answer(table.held(worker));
      expect(inShort(table.ready(worker)).some((effect) => effect.startsWith("grant"))).toBe(again);
    }
  }
  expect(table.reason).toContain(
    "128/640 samples, 2 idle: an account may have 10 % of a step (trust.accountWeight), wait",
  );
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
  const table = knownTable({ w1: 3200, w2: 100 });
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

test("L16 of ten accounts none holds more than its share of a round, until the round is late", () => {
  const workers = Array.from({ length: 10 }, (_, i) => workerId(`v${i}`));
  const table = new RoundTable({ from: 0, to: 32 * 20 }, workers, { shareLimit: 0.1, maxMicrobatches: 2 }).goOn();
  expect(table.grants()).toHaveLength(10);
  const few = new RoundTable({ from: 0, to: 32 * 20 }, workers.slice(1), {
    shareLimit: 0.1,
    maxMicrobatches: 2,
  }).goOn();
  few.answer(few.held(workers[1]));
  few.ready(workers[1]);
  expect(few.grants()).toHaveLength(1);
  const options = { shareLimit: 0.1, maxMicrobatches: 2, timeoutMs: 9000 };
  const late = new RoundTable({ from: 0, to: 32 * 20 }, workers, options).goOn();
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
    const table = new RoundTable({ from: 0, to: 32 * 30 }, workers, options).goOn();
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
  const early = new RoundTable({ from: 0, to: 32 * 20 }, workers.slice(0, 9), options).goOn();
  for (const worker of workers.slice(9)) early.event({ type: "worker-joined", worker });
  early.answer(early.held(third));
  expect(inShort(early.ready(third))).toEqual(["grant v2 576-640"]);
});
