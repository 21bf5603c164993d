// Leases that nobody waits for, and who is lent nothing else (SPEC.md, L44 to L52), on the pure round.

import { expect, test } from "vitest";
import {
  type Answering,
  afterAnswer,
  afterLapse,
  afterMiss,
  FIRST_WAIT_MS,
  FORGIVEN_AFTER,
  isProven,
  LONGEST_WAIT_MS,
  MOST_DOUBLINGS,
  nothingShown,
  PROVEN_AFTER,
} from "../../../coordinator/round/answering.ts";
import { answeringOf, REMEMBERED } from "../../../coordinator/round/roster.ts";
import { type WorkerId, workerId } from "../../../shared/base/ids.ts";
import { inShort, RoundTable, w1, w2, w3 } from "../../fixtures/round-table.ts";

const lone = { timeoutMs: 1_000_000, deadlineMs: 1_000_000, first: 1 };

/** A round of these microbatches in which w1 is proven and the others are not. */
function beside(microbatches: number, others: readonly WorkerId[], options = {}): RoundTable {
  const table = new RoundTable([], [w1]);
  for (const worker of others) {
    table.event({ type: "worker-joined", worker, unproven: true });
    table.ready(worker);
  }
  table.open({ from: 0, to: 32 * microbatches }, { ...lone, ...options });
  return table;
}

/** Rounds in which nobody is proven. */
function amongUnproven(microbatches: number, workers: readonly WorkerId[], options = {}): RoundTable {
  const table = new RoundTable([]);
  for (const worker of workers) {
    table.event({ type: "worker-joined", worker, unproven: true });
    table.ready(worker);
  }
  table.open({ from: 0, to: 32 * microbatches }, { ...lone, ...options });
  return table.goOn();
}

test("L44 beside who is proven the others are lent spares, until they have answered three leases in a row", () => {
  const table = beside(4, [w2], { first: 64, maxMicrobatches: 4 });
  expect(inShort(table.effects)).toEqual(["grant w1 0-128", "grant w2 0-128 spare"]);
  for (let answers = 1; answers <= PROVEN_AFTER; answers++) {
    expect(table.held(w2).purpose).toBe("spare");
    table.event({ type: "contribution", worker: w2, lease: table.held(w2).lease, samples: 128 });
    table.ready(w2);
  }
  table.answer(table.held(w1));
  table.ready(w1);
  table.open({ from: 0, to: 128 }, { ...lone, first: 64 });
  expect(table.held(w2).purpose).toBe("work");
});

test("L45 the range of a spare is leased to others, and no part of their shares is another's for it", () => {
  const table = beside(8, [w2, w3]);
  expect(inShort(table.effects)).toEqual(["grant w1 0-32", "grant w2 224-256 spare", "grant w3 192-224 spare"]);
  const all = beside(8, [w2, w3], { first: 64 });
  expect(inShort(all.effects).slice(0, 1)).toEqual(["grant w1 0-256"]);
  expect(inShort(all.answer(all.held(w1)))).toEqual(["accept w1 0-256", "seal 0-256"]);
});

test("L53 nothing is said at the seal to who shows that it answers, and its late answers are as many as in time", () => {
  const table = beside(2, [w2]);
  const spare = table.held(w2);
  table.answer(table.held(w1));
  table.ready(w1);
  expect(inShort(table.answer(table.held(w1)))).toEqual(["accept w1 32-64", "seal 0-64"]);
  const answers = () =>
    table.state.roster.answering.get(table.state.roster.members.get(w2)?.account ?? "")?.answers ?? 0;
  expect(answers()).toBe(0);
  expect(table.state.roster.members.get(w2)?.leases).toEqual([]);
  for (let times = 0; times < 2; times++) {
    expect(table.answer(spare)).toMatchObject([{ type: "reject", lease: spare.lease, code: "CONTRIBUTION_STALE" }]);
    // One lease is one answer, however often it is sent.
    expect(answers()).toBe(1);
  }
});

test("L46 the answer to a spare counts where nobody else holds its range, from the moment at which it comes", () => {
  const table = beside(2, [w2]);
  const spare = table.held(w2);
  expect(spare).toMatchObject({ purpose: "spare", from: 32, to: 64 });
  expect(table.event({ type: "contribution-received", worker: w2, lease: spare.lease })).toMatchObject([
    { type: "claim", lease: { purpose: "work", from: 32, to: 64 } },
  ]);
  table.answer(table.held(w1));
  expect(inShort(table.ready(w1))).toEqual(["wait"]);
  expect(inShort(table.answer(spare))).toEqual(["accept w2 32-64", "seal 0-64"]);
});

test("L46 it counts for nothing where another took its range meanwhile, and a damaged one leaves the range to be leased", () => {
  const table = beside(2, [w2]);
  const spare = table.held(w2);
  table.answer(table.held(w1));
  expect(inShort(table.ready(w1))).toEqual(["grant w1 32-64"]);
  table.event({ type: "contribution-received", worker: w2, lease: spare.lease });
  expect(inShort(table.answer(spare))).toEqual(["accept w2 32-64"]);
  expect(table.state.collected.size).toBe(32);
  expect(inShort(table.answer(table.held(w1)))).toEqual(["accept w1 32-64", "seal 0-64"]);

  const damaged = beside(2, [w2]);
  const { lease } = damaged.held(w2);
  damaged.event({ type: "contribution-received", worker: w2, lease });
  damaged.event({ type: "contribution-refused", worker: w2, lease, code: "CONTRIBUTION_MISMATCH", message: "" });
  expect(damaged.state.unleased).toEqual([{ from: 32, to: 64 }]);
});

test.each([
  { of: "microbatches of a first lease", options: { first: 2 }, samples: 64 },
  { of: "what it says that it can hold", options: { first: 2 }, most: 1, samples: 32 },
  { of: "one microbatch where shares are whole", options: { first: Number.POSITIVE_INFINITY }, samples: 32 },
])("L47 a spare of what nobody holds has $of", ({ options, most, samples }) => {
  const table = new RoundTable([], [w1]);
  table.event({ type: "worker-joined", worker: w2, unproven: true, ...(most ? { maxMicrobatches: most } : {}) });
  table.ready(w2);
  table.open({ from: 0, to: 32 * 8 }, { ...lone, maxMicrobatches: 4, ...options });
  const { from, to } = table.held(w2);
  expect([from, to]).toEqual([256 - samples, 256]);
});

test("L47 spares that count lie side by side, in whatever order they are answered", () => {
  const others = Array.from({ length: 6 }, (_, i) => workerId(`n${i}`));
  const table = beside(64, others, { ahead: false });
  table.goOn();
  for (const turn of [0, 3, 1, 5, 2, 4]) {
    for (let answers = 1; answers < PROVEN_AFTER; answers++) {
      const spare = table.held(others[turn]);
      table.event({ type: "contribution-received", worker: others[turn], lease: spare.lease });
      table.answer(spare);
      table.ready(others[turn]);
    }
  }
  // What lay between those that are out is answered.
  for (const worker of others) {
    const spare = table.held(worker);
    table.event({ type: "contribution-received", worker, lease: spare.lease });
  }
  expect(table.state.unleased).toHaveLength(1);
});

test("L48 what the unproven hold before anybody is proven is lent to whoever is idle at once, however many hold it", () => {
  const hoarders = Array.from({ length: 20 }, (_, i) => workerId(`h${i}`));
  const table = amongUnproven(4, hoarders);
  expect(table.state.unleased).toEqual([]);
  expect(table.state.leases.size).toBe(20);
  table.event({ type: "worker-joined", worker: w1, unproven: true });
  const ranges = new Set<number>();
  for (let step = 0; step < 4; step++) {
    table.ready(w1);
    const lease = table.held(w1);
    ranges.add(lease.from);
    table.event({ type: "contribution-received", worker: w1, lease: lease.lease });
    table.answer(lease);
  }
  expect([...ranges].sort((a, b) => a - b)).toEqual([0, 32, 64, 96]);
  expect(table.state.phase).toBe("sealed");
});

test("L49 the unproven make nobody's share of a round smaller, and are none of the accounts that its limit is for", () => {
  const hoarders = Array.from({ length: 90 }, (_, i) => workerId(`h${i}`));
  const table = beside(32, hoarders, { first: 64, shareLimit: 0.1 });
  expect(table.held(w1)).toMatchObject({ purpose: "work", from: 0, to: 32 * 32 });
  const copy = { purpose: "audit", of: table.held(w1).lease, from: 0, to: 1024, answered: ["w1"], draw: 1 } as const;
  table.event({ type: "copy-wanted", copy: { ...copy, distrusted: new Set<string>() } });
  expect(
    table
      .goOn()
      .grants()
      .filter(({ purpose }) => purpose === "audit"),
  ).toEqual([]);
  table.answer(table.held(w1));
  expect(table.state.phase).toBe("sealed");
});

/** What becomes of an account by these events. */
const after = (...events: ((before: Answering) => Answering)[]) =>
  events.reduce((standing, event) => event(standing), nothingShown);
const answers = (count: number) => Array.from({ length: count }, () => afterAnswer);
const lapse = (before: Answering) => afterLapse(0, before);
const miss = (before: Answering) => afterMiss(0, before);

test("L50 whoever kept others waiting has to answer twice as often each time, up to a limit, before they wait again", () => {
  expect(isProven(after(...answers(PROVEN_AFTER - 1)))).toBe(false);
  expect(isProven(after(...answers(PROVEN_AFTER)))).toBe(true);
  expect(isProven(after(...answers(100), lapse, ...answers(2 * PROVEN_AFTER - 1)))).toBe(false);
  expect(isProven(after(...answers(100), lapse, ...answers(2 * PROVEN_AFTER)))).toBe(true);
  const often = Array.from({ length: 50 }, () => lapse);
  const most = PROVEN_AFTER * 2 ** MOST_DOUBLINGS;
  expect(isProven({ ...after(...often), answers: most - 1 })).toBe(false);
  expect(isProven({ ...after(...often), answers: most })).toBe(true);
  expect(after(lapse, lapse, ...answers(FORGIVEN_AFTER)).lapses).toBe(1);
  // Of other accounts of the address the first is free.
  expect(isProven(after(...answers(PROVEN_AFTER)), 1)).toBe(true);
  expect(isProven(after(...answers(PROVEN_AFTER)), 2)).toBe(false);
});

test("L50 a lease that expires, or that one who began later answers once it is overdue, is such a lapse", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w1, w2]);
  table.tick(1000);
  expect(table.state.roster.members.get(w1)?.proven).toBe(false);
  const overtaken = new RoundTable({ from: 0, to: 64 }, [w1, w2]);
  overtaken.answer(overtaken.held(w2));
  overtaken.tick(900);
  overtaken.ready(w2);
  overtaken.answer(overtaken.held(w2));
  expect(overtaken.state.roster.members.get(w1)?.proven).toBe(false);
  expect(overtaken.state.roster.members.get(w2)?.proven).toBe(true);
  // It is remembered with the account and, from the second on, with the address.
  overtaken.event({ type: "worker-left", worker: w1 });
  expect(answeringOf(overtaken.state.roster, "w1").lapses).toBe(1);
});

test("L51 from the second lease in a row that came to nothing on an unproven account waits, twice as long each time", () => {
  const waits = (misses: number) => after(...Array.from({ length: misses }, () => miss)).waitsUntil;
  expect([1, 2, 3, 4].map(waits)).toEqual([0, FIRST_WAIT_MS, 2 * FIRST_WAIT_MS, 4 * FIRST_WAIT_MS]);
  expect(waits(50)).toBe(LONGEST_WAIT_MS);
  const table = beside(8, [w2]);
  for (let tries = 0; tries < 2; tries++) {
    table.event({ type: "worker-paused", worker: w2 });
    table.ready(w2);
  }
  expect(table.effects).toEqual([{ type: "wait", worker: w2 }]);
  expect(table.tick(FIRST_WAIT_MS - 1)).toEqual([]);
  expect(inShort(table.tick(1))).toEqual([expect.stringMatching(/^grant w2 .* spare$/)]);
});

test("L52 in a kind's first round what nobody answers for as long as all answers took is lent to who is idle", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w1, w2], {
    ...lone,
    maxMicrobatches: 1,
    minDeadlineMs: 2000,
    hasHistory: false,
  });
  table.now += 5000;
  table.answer(table.held(w1));
  table.ready(w1);
  expect(table.tick(4999)).toEqual([]);
  expect(inShort(table.tick(1))).toEqual(["grant w1 32-64 backup"]);
});

test("L50 what so many accounts have shown is remembered, and no more", () => {
  const table = new RoundTable([]);
  for (let i = 0; i < REMEMBERED + 10; i++) {
    const worker = workerId(`v${i}`);
    table.event({ type: "worker-joined", worker });
    table.event({ type: "worker-left", worker });
  }
  expect(table.state.roster.answering.size).toBe(REMEMBERED);
});
