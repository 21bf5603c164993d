// Rounds in two storeys, on the pure round: the leader's, whose members are gateways, and a gateway's own, which grows.

import { expect, test } from "vitest";
import { isClosing, notBegun, sumsDue } from "../../../coordinator/round/gateways.ts";
import { allowance } from "../../../coordinator/round/grants.ts";
import type { RoundOptions } from "../../../coordinator/round/state.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { inShort, RoundTable, w1, w2 } from "../../fixtures/round-table.ts";

const g1 = workerId("g1");
const g2 = workerId("g2");
const leaders: Partial<RoundOptions> = { pieces: 4, timeoutMs: 1000 };

/** A leader's round of 256 samples, of gateways of 100 samples a second each, with room for so many leases. */
function leaderTable(gateways = [g1, g2], room = 20, options: Partial<RoundOptions> = {}, to = 256): RoundTable {
  const table = new RoundTable([], []);
  for (const worker of gateways) {
    table.event({ type: "worker-joined", worker, room, speed: 100 });
    table.event({ type: "stated", worker, room, speed: 100 });
  }
  table.open({ from: 0, to }, { ...leaders, ...options });
  table.goOn();
  return table;
}

const leasesOf = (table: RoundTable, worker = g1) =>
  table.state.leases
    .values()
    .filter((lease) => lease.worker === worker)
    .sort((a, b) => a.lease - b.lease);

const receive = (table: RoundTable, worker = g1) => {
  for (const { lease } of leasesOf(table, worker)) table.event({ type: "contribution-received", worker, lease });
};

test("Q1 a gateway has room for many leases, its share of the round in pieces, and nothing that it holds expires", () => {
  const table = leaderTable();
  expect(inShort(table.effects)).toEqual([
    "grant g1 0-64",
    "grant g2 64-96",
    "grant g2 96-128",
    "grant g1 128-160",
    "grant g2 160-192",
    "grant g1 192-224",
    "grant g2 224-256",
  ]);
  expect(table.tick(1_000_000)).toEqual([]);
});

test("Q70 what nobody holds goes to the gateway that would be done first, by what it says is open and by its speed", () => {
  const table = leaderTable([g1, g2], 40, {}, 1024);
  const [first] = leasesOf(table, g1);
  // Of what g2 holds nearly all is answered, though none of it whole.
  table.event({ type: "stated", worker: g1, room: 40, speed: 100, open: 500 });
  table.event({ type: "stated", worker: g2, room: 40, speed: 100, open: 20 });
  table.event({ type: "lease-trimmed", worker: g1, lease: first.lease, from: first.from + 64, to: first.to });
  const effects = inShort(table.goOn().effects).filter((line) => line.startsWith("grant"));
  expect(effects.length).toBeGreaterThan(1);
  expect(effects.filter((line) => line.startsWith("grant g1"))).toEqual([]);
  // And what it said is of no other round.
  table.open({ from: 0, to: 256 }, leaders);
  expect(inShort(table.goOn().effects).filter((line) => line.startsWith("grant g1")).length).toBeGreaterThan(1);
});

test("Q1 a gateway without room, because nobody is there to compute, is leased nothing until it says otherwise", () => {
  const table = leaderTable([g1], 0);
  expect(table.effects).toEqual([]);
  table.event({ type: "stated", worker: g1, room: 20, speed: undefined });
  expect(inShort(table.goOn().effects).length).toBeGreaterThan(0);
});

test("Q2 what is covered is waited for, and the sums are due once all that is out is covered", () => {
  const table = leaderTable();
  receive(table, g1);
  expect(sumsDue(table.now, table.state)).toEqual([]);
  receive(table, g2);
  expect([...sumsDue(table.now, table.state)].sort()).toEqual([g1, g2]);
  expect(table.tick(1_000_000)).toEqual([]);
  for (const lease of leasesOf(table, g1)) table.answer(lease);
  expect(inShort(table.effects)).toEqual(["accept g1 192-224"]);
  for (const lease of leasesOf(table, g2)) table.answer(lease);
  expect(inShort(table.effects)).toEqual(["accept g2 224-256", "seal 0-256"]);
});

test("Q3 a gateway that leaves takes with it what it has covered: all of it is leased again", () => {
  const table = leaderTable();
  receive(table, g1);
  table.event({ type: "worker-left", worker: g1 });
  const again = inShort(table.goOn().effects);
  expect(again.filter((line) => line.startsWith("lapse")).sort()).toEqual([
    "lapse g1 0-64 left",
    "lapse g1 128-160 left",
    "lapse g1 192-224 left",
  ]);
  expect(leasesOf(table, g2).reduce((sum, { from, to }) => sum + to - from, 0)).toBe(256);
  receive(table, g2);
  for (const lease of leasesOf(table, g2)) table.answer(lease);
  expect(inShort(table.effects).at(-1)).toBe("seal 0-256");
});

test("Q4 a gateway gives back what it has not begun of a lease, from the end, the beginning or the middle", () => {
  const trimmed = (from: number, to: number) => {
    const table = leaderTable([g1], 20, { oneLease: true });
    const [lease] = leasesOf(table);
    expect([lease.from, lease.to]).toEqual([0, 256]);
    // Nobody is there to whom what comes back could be leased.
    table.event({ type: "stated", worker: g1, room: 0, speed: 100 });
    const effects = inShort(table.event({ type: "lease-trimmed", worker: g1, lease: lease.lease, from, to }));
    const held = leasesOf(table).map((one) => [one.from, one.to]);
    return { effects, held, unleased: table.state.unleased, samples: table.state.samplesByAccount.get("g1") };
  };
  expect(trimmed(128, 256)).toEqual({
    effects: ["lapse g1 128-256 returned"],
    held: [[0, 128]],
    unleased: [{ from: 128, to: 256 }],
    samples: 128,
  });
  expect(trimmed(0, 128)).toMatchObject({ held: [[128, 256]], samples: 128 });
  expect(trimmed(64, 128)).toMatchObject({
    effects: ["lapse g1 64-128 returned", "grant g1 128-256"],
    held: [
      [0, 64],
      [128, 256],
    ],
    samples: 192,
  });
  expect(trimmed(0, 256)).toMatchObject({ held: [], samples: 0 });
  expect(trimmed(192, 300)).toMatchObject({ effects: [], held: [[0, 256]] });
});

test("Q5 a new leader takes over all that a gateway holds, or none of it where a range is another's", () => {
  const table = leaderTable([], 20);
  for (const worker of [g1, g2]) table.event({ type: "worker-joined", worker, room: 20, speed: 100 });
  const whole = [
    { from: 0, to: 64 },
    { from: 128, to: 192 },
  ];
  expect(inShort(table.event({ type: "adopted", worker: g1, ranges: whole }))).toEqual([
    "grant g1 0-64",
    "grant g1 128-192",
  ]);
  const theirs = [
    { from: 64, to: 128 },
    { from: 160, to: 224 },
  ];
  expect(table.event({ type: "adopted", worker: g2, ranges: theirs })).toEqual([]);
  expect(leasesOf(table, g2)).toEqual([]);
  expect(table.state.unleased).toEqual([
    { from: 64, to: 128 },
    { from: 192, to: 256 },
  ]);
});

test("Q6 a late round leases nothing more, waits for what is begun, and is sealed with what is covered", () => {
  const table = leaderTable([g1], 5, { seal: "deadline", deadlineMs: 500 }, 1024);
  table.now = 1000;
  while (!isClosing(table.now, table.state)) {
    const [open] = leasesOf(table).filter(({ receivedAt }) => receivedAt === null);
    table.event({ type: "contribution-received", worker: g1, lease: open.lease });
  }
  expect(sumsDue(table.now, table.state)).toEqual([]);
  const [{ from }] = table.state.unleased;
  receive(table);
  expect(table.state.unleased).toEqual([{ from, to: 1024 }]);
  expect(sumsDue(table.now, table.state)).toEqual([g1]);
  for (const lease of leasesOf(table)) table.answer(lease);
  expect(inShort(table.effects).at(-1)).toBe(`seal 0-${from}`);
});

test("Q7 a gateway's round grows with each lease, loses what nobody has begun, and ends when its sum is wanted", () => {
  const table = new RoundTable([], [w1, w2], { growing: true, ahead: false });
  expect(table.effects).toEqual([]);
  table.event({ type: "extended", ranges: [{ from: 64, to: 128 }] });
  expect(inShort(table.effects)).toEqual(["grant w1 64-96", "grant w2 96-128"]);
  table.event({ type: "extended", ranges: [{ from: 256, to: 384 }] });
  expect(notBegun(table.state, [{ from: 0, to: 300 }])).toEqual([{ from: 256, to: 300 }]);
  // What is all of it decides how it is cut.
  table.event({ type: "extended", ranges: [], pieces: 3 });
  expect(table.state.options.pieces).toBe(1);
  table.event({ type: "narrowed", ranges: [{ from: 320, to: 384 }] });
  expect(table.state.wanted).toBe(128);
  while (table.state.leases.size > 0) {
    const lease = table.held([...table.state.leases.values()][0].worker);
    table.answer(lease);
    table.ready(lease.worker);
  }
  expect(table.state.collected.ranges).toEqual([
    { from: 64, to: 128 },
    { from: 256, to: 320 },
  ]);
  expect(table.state.phase).toBe("collecting");
  expect(inShort(table.event({ type: "closed" }))).toEqual(["seal 64-128 256-320"]);
});

test("Q56 what is given back is given back at once: whoever waits is leased nothing of it meanwhile", () => {
  const table = new RoundTable([], [w1, w2], { growing: true, ahead: false });
  table.event({ type: "extended", ranges: [{ from: 0, to: 64 }] });
  for (const worker of [w1, w2]) {
    table.answer(table.held(worker));
    table.ready(worker);
  }
  // Nobody is leased it again before the next tick, and both wait.
  table.event({ type: "contribution-withdrawn", account: w1, from: 0, to: 32, quiet: true });
  table.event({ type: "contribution-withdrawn", account: w2, from: 32, to: 64, quiet: true });
  const halves = [
    { from: 0, to: 32 },
    { from: 32, to: 64 },
  ];
  const back = notBegun(table.state, halves);
  expect(back).toEqual(halves);
  // Those of one range that touch are one.
  expect(notBegun(table.state, [{ from: 0, to: 64 }])).toEqual([{ from: 0, to: 64 }]);
  expect(inShort(table.event({ type: "narrowed", ranges: back }))).toEqual([]);
  expect(table.state).toMatchObject({ wanted: 0, unleased: [] });
});

test("Q15 an account that is at several gateways shares among them what it may hold of a round, equally", () => {
  const workers = Array.from({ length: 10 }, (_, i) => workerId(`w${i + 1}`));
  const most = (gateways: number, whole: Partial<RoundOptions> = {}) => {
    const table = new RoundTable({ from: 0, to: 32 }, workers);
    table.answer(table.held(table.grants()[0].worker));
    table.event({ type: "account-spread", account: workers[0], gateways });
    for (const worker of workers.slice(1)) table.event({ type: "worker-paused", worker });
    table.open({ from: 0, to: 2048 }, { shareLimit: 0.25, timeoutMs: 1_000_000, ...whole });
    for (const worker of workers.slice(1)) table.ready(worker);
    table.ready(workers[0]);
    const held = table.state.leases.values().filter(({ worker }) => worker === workers[0]);
    return {
      held: held.reduce((sum, { from, to }) => sum + to - from, 0),
      left: allowance(table.state, workers[0], false),
    };
  };
  const total = ({ held, left }: ReturnType<typeof most>) => held + left;
  expect(total(most(1))).toBe(512);
  expect(total(most(2))).toBe(256);
  expect(total(most(4))).toBe(128);
  // A share is of the whole round, of which a gateway has a part.
  expect(total(most(2, { whole: 4096 }))).toBe(512);
});

test("Q55 leases are cut where a sum begins and ends: what is outside keeps the number, what is within comes with it", () => {
  const table = leaderTable([g1], 4);
  const [first] = leasesOf(table);
  const inAll = () => leasesOf(table).map(({ lease, from, to }) => `${lease} ${from}-${to}`);
  const before = inAll().slice(1);
  const { nextLease, samplesByAccount } = table.state;
  const { from, to, lease } = first;
  table.event({ type: "lease-split", worker: g1, ranges: [{ from: from + 8, to: from + 16 }] });
  expect(inAll()).toEqual([
    `${lease} ${from}-${from + 8}`,
    ...before,
    `${nextLease} ${from + 16}-${to}`,
    `${nextLease + 1} ${from + 8}-${from + 16}`,
  ]);
  expect(table.state.samplesByAccount.get("g1")).toBe(samplesByAccount.get("g1"));
  // Of all of a lease, or of none of it, nothing is cut; nor is what another holds.
  const cut = inAll();
  table.event({ type: "lease-split", worker: g1, ranges: [{ from: from + 8, to: from + 16 }] });
  table.event({ type: "lease-split", worker: g2, ranges: [{ from: 0, to: 4 }] });
  expect(inAll()).toEqual(cut);
});

test("Q55 a lease that two sums share is cut in two, which both come", () => {
  const table = leaderTable([g1], 4);
  const [{ from, to, lease }] = leasesOf(table);
  const { nextLease } = table.state;
  for (const range of [
    { from, to: from + 4 },
    { from: from + 4, to },
  ])
    table.event({ type: "lease-split", worker: g1, ranges: [range] });
  const parts = leasesOf(table).filter((one) => one.from < to);
  expect(parts.map((one) => [one.lease, one.from, one.to])).toEqual([
    [lease, from + 4, to],
    [nextLease, from, from + 4],
  ]);
});
