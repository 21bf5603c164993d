// Leases in pieces, and who helps whom (SPEC.md, L18 to L21, L32 to L40), on the pure round.

import { expect, test } from "vitest";
import { GRANTS_AT_ONCE } from "../../../coordinator/round/grants.ts";
import { LENT_AT_ONCE } from "../../../coordinator/round/lending.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { inShort, knownTable, RoundTable, w1, w2, w3 } from "../../fixtures/round-table.ts";

test("L18 leases come in pieces: a part of the share of what nobody holds, down to a grain", () => {
  const table = knownTable({ w1: 100, w2: 100 });
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
  // A sixth of a half of its share of 64 microbatches of which the other worker holds 16.
  expect(sizes.slice(0, -1).every((size) => size >= 3)).toBe(true);
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

/** A round of which w1 has done all but what the slower w2 still holds. */
function lastLease() {
  const table = knownTable({ w1: 400, w2: 100 });
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
  return { table, range: `${theirs.from}-${theirs.to}` };
}

test("L20 when all is leased, what is overdue or will end last is lent to an idle worker that ends it sooner", () => {
  const { table, range } = lastLease();
  expect(inShort(table.tick(2000))).toEqual([`grant w1 ${range} backup`]);
});

test("L43 where leases are whole shares, what is overdue by its holder's speed is lent to whoever is idle", () => {
  const table = knownTable({ w1: 400, w2: 100 });
  table.open({ from: 0, to: 64 }, { maxMicrobatches: 1, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  const theirs = table.held(w2);
  table.answer(table.held(w1));
  table.ready(w1);
  // 320 ms by its speed, a quarter more, and a round trip.
  expect(table.tick(650)).toEqual([]);
  expect(inShort(table.tick(1))).toEqual([`grant w1 ${theirs.from}-${theirs.to} backup`]);
});

test("L38 of two holders that are both overdue the first makes room for a third", () => {
  const { table, range } = lastLease();
  expect(inShort(table.tick(2000))).toEqual([`grant w1 ${range} backup`]);
  expect(inShort(table.tick(20_000))).toEqual([`cancel w2 ${range} expired`]);
});

test("L33 in a kind's first round leases are short at first: who comes early does not take what those who come later could", () => {
  const options = { pieces: 4, timeoutMs: 1_000_000, deadlineMs: 1_000_000 };
  const secondsOf = ({ from, to }: { readonly from: number; readonly to: number }) => (to - from) / 100;
  const usual = knownTable({ w1: 100, w2: 100 });
  usual.open({ from: 0, to: 32 * 1000 }, { ...options, hasHistory: true });
  expect(secondsOf(usual.held(w1))).toBeGreaterThan(20);
  const table = knownTable({ w1: 100, w2: 100 });
  table.open({ from: 0, to: 32 * 1000 }, { ...options, hasHistory: false });
  expect(secondsOf(table.held(w1))).toBeLessThanOrEqual(1);
  table.now += 20_000;
  table.answer(table.held(w1));
  table.ready(w1);
  const later = secondsOf(table.held(w1));
  expect(later).toBeGreaterThan(3);
  expect(later).toBeLessThanOrEqual(5);
});

test("L34 what a lost connection holds is lent to a fast worker that asks, before it is given what nobody has begun", () => {
  const table = knownTable({ w1: 400, w2: 100 });
  table.open({ from: 0, to: 32 * 10 }, { pieces: 2, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  const [theirs, mine] = [table.held(w2), table.held(w1)];
  table.event({ type: "worker-suspended", worker: w2 });
  table.now += 100;
  table.answer(mine);
  expect(table.state.unleased.length).toBeGreaterThan(0);
  expect(inShort(table.ready(w1))).toEqual([`grant w1 ${theirs.from}-${theirs.to} backup`]);
});

test.each([
  { collected: 0, helps: true },
  { collected: 1600, helps: false },
])("L35 with $collected of 3840 collected, that a worker ends what is overdue before the round is: $helps", (given) => {
  const table = knownTable({ w1: 110, w2: 400, w3: 100 });
  table.open({ from: 0, to: 3840 }, { pieces: 2, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  const theirs = table.held(w2);
  while (table.state.collected.size < given.collected) {
    for (const worker of [w1, w3]) {
      table.answer(table.held(worker));
      table.ready(worker);
    }
  }
  table.event({ type: "worker-suspended", worker: w2 });
  table.answer(table.held(w1));
  expect(table.state.unleased.length).toBeGreaterThan(0);
  table.ready(w1);
  const [lease] = table.grants();
  expect(lease.from === theirs.from && lease.purpose === "backup").toBe(given.helps);
});

test.each([
  { others: [w1, w3], lent: "once it is past its expected end" },
  { others: [w1, w3, workerId("w4"), workerId("w5")], lent: "at once" },
])("L36 with one lease out and $others.length workers idle, it is lent $lent", ({ others, lent }) => {
  const speeds = Object.fromEntries(others.map((worker) => [worker, worker === w1 ? 400 : 200]));
  const table = knownTable({ ...speeds, w2: 100 });
  table.open({ from: 0, to: 320 }, { pieces: 2, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  const theirs = table.held(w2);
  for (;;) {
    for (const worker of others) {
      const lease = table.state.leases.values().find((live) => live.worker === worker);
      if (lease) table.answer(lease);
      table.ready(worker);
    }
    if (table.state.leases.size === 1) break;
  }
  const end = theirs.endsAt ?? 0;
  const copy = [`grant w1 ${theirs.from}-${theirs.to} backup`];
  expect(inShort(table.tick(end - 1 - table.now))).toEqual(lent === "at once" ? copy : []);
  expect(inShort(table.tick(2))).toEqual(lent === "at once" ? [] : copy);
});

test("L40 one tick lends so many leases at most beside a turn's grants, the next one the others", () => {
  const holders = Array.from({ length: LENT_AT_ONCE + GRANTS_AT_ONCE + 3 }, (_, i) => workerId(`h${i}`));
  const helpers = holders.map((_, i) => workerId(`i${i}`));
  const table = knownTable(Object.fromEntries([...holders, ...helpers].map((worker) => [worker, 100])));
  const wanted = { from: 0, to: 32 * holders.length };
  table.open(wanted, { pieces: 2, maxMicrobatches: 1, timeoutMs: 1_000_000, deadlineMs: 1_000_000 });
  expect(table.goOn().grants()).toHaveLength(holders.length);
  const held = table.state.leases.values();
  for (const { worker } of held) table.event({ type: "worker-suspended", worker });
  const lent = () => table.grants().filter(({ purpose }) => purpose === "backup").length;
  table.tick(1);
  expect(lent()).toBe(LENT_AT_ONCE + GRANTS_AT_ONCE);
  table.tick(1);
  expect(lent()).toBe(3);
});

test("L39 of two holders the one that will end last makes room for an idle worker that will end it sooner than both", () => {
  const table = knownTable({ w1: 400, w2: 100, w3: 50 });
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

test("L21 a range that expired with one holder is not lent again while the other has it, and is then leased in pieces that fit", () => {
  const table = new RoundTable({ from: 0, to: 256 }, [w1], { timeoutMs: 1000, deadlineMs: 500 });
  table.event({ type: "worker-joined", worker: w2 });
  table.tick(600);
  expect(inShort(table.ready(w2))).toEqual(["grant w2 0-256 backup"]);
  table.tick(400);
  table.ready(w1);
  // Nobody waits for it, and it is no more than fits.
  expect(table.grants()).toMatchObject([{ worker: w1, purpose: "spare", from: 192, to: 256 }]);
  table.event({ type: "worker-paused", worker: w1 });
  table.tick(600);
  table.ready(w1);
  const [again] = table.grants();
  expect(again).toMatchObject({ worker: w1, purpose: "work", from: 0 });
  expect(again.to).toBeLessThan(256);
});
