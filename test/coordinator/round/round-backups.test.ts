// Ranges that a second worker is lent (SPEC.md, L9, L10 and L42), on the pure round.

import { expect, test } from "vitest";
import { workerId } from "../../../shared/base/ids.ts";
import { codes, inShort, knownTable, RoundTable, w1, w2, w3 } from "../../fixtures/round-table.ts";

test("L9 from 85 % of the deadline on, what is outstanding is lent to the fastest idle worker, the oldest lease first", () => {
  const table = knownTable({ w1: 400, w2: 200, w3: 66 });
  const timing = { deadlineMs: 1000, timeoutMs: 100_000, maxMicrobatches: 1 };
  table.event({ type: "worker-joined", worker: workerId("w4") });
  table.ready(workerId("w4"));
  table.open({ from: 0, to: 128 }, timing);
  expect(table.grants()).toHaveLength(4);
  for (const worker of [w2, w1]) {
    table.answer(table.held(worker));
    table.ready(worker);
  }
  // The slow one is not past what its speed lets expect, and a quarter.
  const [slow, unknown] = [table.held(w3), table.held(workerId("w4"))];
  expect(table.tick(849)).toEqual([]);
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

test("L42 nobody backs up a worker of the same account", () => {
  const table = new RoundTable({ from: 0, to: 32 });
  for (const worker of [w1, w2]) {
    table.event({ type: "worker-joined", worker, account: "one" });
    table.ready(worker);
  }
  expect(table.state.leases.size).toBe(1);
  expect(table.tick(900)).toEqual([]);
});

test.each([1, 4])(
  "L42 alone, an account goes on where one of its workers has lost its connection; leases in %i pieces",
  (pieces) => {
    const table = new RoundTable({ from: 0, to: 32 }, [], { pieces });
    for (const worker of [w1, w2]) {
      table.event({ type: "worker-joined", worker, account: "one" });
      table.ready(worker);
    }
    table.event({ type: "worker-suspended", worker: w1 });
    expect(inShort([...table.effects, ...table.tick(0)])).toEqual(["grant w2 0-32 backup"]);
    expect(inShort(table.answer(table.held(w2)))).toEqual(["accept w2 0-32", "cancel w1 0-32 answered", "seal 0-32"]);
  },
);

test("L42 where another account is there, it is lent what a lost connection holds, and none of the same account", () => {
  const table = new RoundTable({ from: 0, to: 64 }, [w3], { maxMicrobatches: 1 });
  for (const worker of [w1, w2]) {
    table.event({ type: "worker-joined", worker, account: "one" });
    table.ready(worker);
  }
  expect(table.event({ type: "worker-suspended", worker: w1 })).toEqual([]);
  table.answer(table.held(w3));
  expect(inShort(table.ready(w3))).toEqual(["grant w3 32-64 backup"]);
});
