// Who computes audits and how long they are waited for (SPEC.md, L15, L22, L25 to L31, Z17), on the pure round.

import { expect, test } from "vitest";
import { AuditCopies } from "../../../coordinator/round/audit-copies.ts";
import type { Lease } from "../../../coordinator/round/lease.ts";
import { newestOf } from "../../../coordinator/round/roster.ts";
import { type WorkerId, workerId } from "../../../shared/base/ids.ts";
import { auditOf, inShort, knownTable, RoundTable, w1, w2, w3 } from "../../fixtures/round-table.ts";

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

test("L26 with all samples there an audit is not waited for where leases come in pieces, else an eightieth of their time, or a twentieth of the least deadline, and in a first round longer", () => {
  const audited = (answeredAfterMs: number, hasHistory = true, pieces = 1) => {
    const options = { timeoutMs: 60_000, deadlineMs: 60_000, minDeadlineMs: 2000, hasHistory, pieces };
    const table = new RoundTable({ from: 0, to: 64 }, [w1, w2], options);
    const { from, to, account } = table.held(w1);
    table.event({ type: "copy-wanted", copy: auditOf({ from, to }, [account], 1) });
    table.tick(answeredAfterMs);
    table.answer(table.held(w1));
    table.answer(table.held(w2));
    if (pieces > 1) return table;
    expect(inShort(table.ready(w2))).toEqual([`grant w2 ${from}-${to} audit`]);
    return table;
  };
  for (const [answeredAfterMs, patienceMs, hasHistory] of [
    [400, 100, true],
    [16_000, 200, true],
    [400, 500, false],
    [16_000, 1000, false],
  ] as const) {
    const table = audited(answeredAfterMs, hasHistory);
    expect(table.tick(patienceMs - 1)).toEqual([]);
    expect(inShort(table.tick(1))).toContain("seal 0-64");
  }
  expect(inShort(audited(400, true, 4).effects)).toContain("seal 0-64");
  // What is withdrawn is collected again, and the time counts from then.
  const withdrawn = audited(400);
  withdrawn.event({ type: "contribution-withdrawn", account: "w1", from: 0, to: 32 });
  expect(inShort(withdrawn.tick(5000))).not.toContain("seal 0-64");
});

test("L29 an auditor that will not be done in time is not waited for", () => {
  const options = { deadlineMs: 1_000_000, timeoutMs: 1_000_000, minDeadlineMs: 2000 };
  const sealsAtOnce = (auditor: WorkerId) => {
    const table = knownTable({ w1: 400, w2: 400, w3: 20 });
    table.open({ from: 0, to: 32 * 8 }, options);
    const { from, to, account } = table.held(w1);
    const copy = auditOf({ from, to }, [account], 1);
    table.state = { ...table.state, copies: AuditCopies.of([{ copy, auditor }]) };
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

test("L24 a comparison that expired is not its auditor's again where it would expire once more: the auditor gets work", () => {
  const table = new RoundTable({ from: 0, to: 192 }, [w1], { oneLease: true, timeoutMs: 6000, deadlineMs: 6000 });
  const { account, from, to } = table.held(w1);
  table.event({ type: "worker-joined", worker: w2 });
  table.event({ type: "copy-wanted", copy: auditOf({ from, to }, [account], 1) });
  expect(inShort(table.ready(w2))).toEqual(["grant w2 0-192 audit"]);
  table.tick(6000);
  expect(table.state.leases.size).toBe(0);
  expect(inShort(table.ready(w2))).toEqual(["grant w2 0-32"]);
});

test("L30 an answer that decides between two that differ is waited for, until the round takes twice as long as it may", () => {
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
    const table = new RoundTable({ from: 0, to: 256 }, workers).goOn();
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

  const table = new RoundTable({ from: 0, to: 256 }, workers).goOn();
  const [, second, ...others] = workers;
  const draw = Array.from({ length: 64 }, (_, seed) => seed).find((seed) => {
    table.event({ type: "copy-wanted", copy: auditOf({ from: 0, to: 32 }, [workers[0]], seed) });
    return [...table.state.copies].at(-1)?.auditor !== second;
  });
  expect(draw).toBeDefined();
  const [due] = [...table.state.copies].slice(-1);
  table.state = { ...table.state, copies: AuditCopies.of([due]) };
  table.answer(table.held(second));
  expect(inShort(table.ready(second))).toEqual(["wait"]);
  expect(inShort(table.tick(850))).toContain("grant v1 0-32 audit");
  expect(others).toContain(due.auditor);
});

test("Z41 no audit goes to the address of the audited where others are", () => {
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

test("L31 a contribution that is not believed is withdrawn, and its range leased again", () => {
  const table = new RoundTable({ from: 0, to: 96 }, [w1, w2, w3]);
  const [, middle] = table.grants();
  table.answer(middle);
  table.event({ type: "contribution-withdrawn", account: middle.account, from: 32, to: 64 });
  expect(table.state.collected.size).toBe(0);
  expect(inShort(table.ready(w2))).toEqual(["grant w2 32-64"]);
});

test("Z33 what an account computes when its rest begins goes to others, and what it asked for it gets afterwards", () => {
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
  expect(table.state.roster.proven.accounts.get(w2)).toBeUndefined();
  expect(inShort(table.ready(w2))).toEqual(["grant w2 64-128"]);
});

test("Z42 no audit goes to an account to be avoided where others are", () => {
  const workers = Array.from({ length: 6 }, (_, i) => workerId(`v${i}`));
  const table = new RoundTable({ from: 0, to: 32 * 6 }, workers);
  const auditors = (answered: readonly string[], distrusted: readonly string[]) => {
    for (let draw = 0; draw < 32; draw++) {
      table.event({ type: "copy-wanted", copy: auditOf({ from: 0, to: 32 }, answered, draw, distrusted) });
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
  const table = knownTable({ w1: 400, w2: 400, w3: 20 });
  table.open({ from: 0, to: 32 * 26 }, options);
  // The third is too slow for any work, and waits.
  audits(table, table.held(w1));
  expect(new Set([...table.state.copies].map(({ auditor }) => auditor))).toEqual(new Set(["w2"]));
  expect(table.state.copies.size).toBe(20);

  const two = knownTable({ w1: 400, w3: 20 });
  two.open({ from: 0, to: 32 * 26 }, options);
  audits(two, two.held(w1));
  expect([...two.state.copies].every(({ auditor }) => auditor === w3)).toBe(true);
});

test("Z48 a copy for the operator's own is theirs, late or from whatever address, and is waited for where nobody confirmed the account", () => {
  const played = (awaited: boolean) => {
    const table = new RoundTable({ from: 0, to: 32 });
    const address = "127.0.0.1";
    for (const worker of [w1, w2]) table.event({ type: "worker-joined", worker, address });
    table.event({ type: "worker-joined", worker: w3, address, own: true });
    for (const worker of [w1, w2, w3]) table.ready(worker);
    table.answer(table.held(w1));
    table.ready(w1);
    table.open({ from: 0, to: 96 }, { deadlineMs: 1000, timeoutMs: 60_000, maxMicrobatches: 1 });
    table.goOn();
    const { from, to, account } = table.held(w1);
    const copy = { ...auditOf({ from, to }, [account], 7), own: true, awaited };
    table.event({ type: "copy-wanted", copy });
    expect([...table.state.copies]).toMatchObject([{ auditor: "w3" }]);
    for (const worker of [w1, w2]) table.answer(table.held(worker));
    return table;
  };
  const table = played(true);
  // Whoever asks first is another stranger.
  table.tick(950);
  expect(inShort(table.ready(w2)).filter((effect) => effect.includes("audit"))).toEqual([]);
  const own = table.held(w3);
  expect(inShort(table.answer(own))).not.toContain("seal 0-96");
  table.tick(400);
  expect(inShort(table.ready(w3))).toMatchObject([expect.stringMatching(/^grant w3 \d+-\d+ audit$/)]);
  expect(inShort(table.answer(table.held(w3)))).toContain("seal 0-96");

  const hasty = played(false);
  hasty.tick(1100);
  expect(inShort(hasty.answer(hasty.held(w3)))).toContain("seal 0-96");

  const alone = played(true);
  alone.event({ type: "worker-left", worker: w3 });
  alone.tick(900);
  expect([...alone.state.copies]).toMatchObject([{ auditor: null }]);
});

test("L61 a copy is for anybody once its auditor is none of those any more who are waited for", () => {
  const table = new RoundTable([], [], { growing: true });
  table.event({ type: "worker-joined", worker: w1, unproven: true });
  table.ready(w1);
  const [first, second] = [0, 32].map((from) => auditOf({ from, to: from + 32 }, ["w3"], 1));
  expect(inShort(table.event({ type: "copy-wanted", copy: first }))).toEqual(["grant w1 0-32 audit"]);
  table.event({ type: "copy-wanted", copy: second });
  // Of others it is known that they answer.
  table.event({ type: "worker-joined", worker: w2 });
  expect(table.ready(w2)).toEqual([{ type: "wait", worker: w2 }]);
  expect(inShort(table.tick(50))).toEqual(["grant w2 32-64 audit"]);
});

test("Q72 a copy for another gateway is declined where nobody takes part that may compute it, and where nobody does any more", () => {
  const ordered = { ...auditOf({ from: 0, to: 32 }, ["w1"], 1), order: 7 };
  const alone = new RoundTable([], [w1], { growing: true });
  expect(alone.event({ type: "copy-wanted", copy: ordered })).toEqual([{ type: "decline", order: 7 }]);
  expect(alone.state.copies.size).toBe(0);
  // An audit of its own may wait for who comes.
  expect(alone.event({ type: "copy-wanted", copy: auditOf({ from: 0, to: 32 }, ["w1"], 1) })).toEqual([]);

  const two = new RoundTable([], [w1, w2], { growing: true });
  expect(inShort(two.event({ type: "copy-wanted", copy: ordered }))).toEqual(["grant w2 0-32 audit"]);
  two.event({ type: "worker-left", worker: w2 });
  expect(two.tick(50)).toContainEqual({ type: "decline", order: 7 });
});
