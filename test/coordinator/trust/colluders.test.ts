// Two accounts of twenty that agree on their lie, against the round's own decisions and the audits: what gets through, and whom it costs.

import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round/round-state.ts";
import type { HeldWork, RoundReader } from "../../../coordinator/trust/round-reader.ts";
import { RoundTrust } from "../../../coordinator/trust/round-trust.ts";
import { restMs, type Standing } from "../../../coordinator/trust/standing.ts";
import { type WorkerId, workerId } from "../../../shared/ids.ts";
import { rng } from "../../../shared/rng.ts";
import { RoundTable } from "../../fixtures/round-table.ts";

const ACCOUNTS = 20;
const ROUNDS = 30;
const SEEDS = 10;
const ROUND_MS = 10_000;

const workOf = (lies: boolean): HeldWork => ({
  samples: 32,
  scale: 1,
  peaks: new Uint32Array(1),
  body: Uint8Array.of(lies ? 2 : 1, 1),
});

interface History {
  /** Leases of liars, how many of their lies are in sums, and rests of either. */
  readonly lies: number;
  readonly through: number;
  readonly liarsRested: number;
  readonly honestRested: number;
}

/** @param liars agree on one lie from their first lease on, in what they are leased and in what they compare */
function historyOf(seed: number, liars: number): History {
  const draws = rng(seed, "colluders");
  const standings = new Map<string, Standing>();
  const workers = Array.from({ length: ACCOUNTS }, (_, i) => workerId(`v${i}`));
  const lying = new Set<string>(workers.slice(0, liars));
  const history = { lies: 0, through: 0, liarsRested: 0, honestRested: 0 };
  const table = new RoundTable([]);
  const trust = new RoundTrust({
    clip: "none",
    clipFactor: 1,
    audits: "auto",
    histories: new Map(),
    clock: { now: () => table.now },
    draw: () => draws.uniform(),
    deviceClass: () => "",
    standings,
    onRest: (account) => {
      if (lying.has(account)) history.liarsRested++;
      else history.honestRested++;
    },
    onAudited: () => undefined,
    onVerdict: () => undefined,
  });
  const reader: RoundReader = {
    kind: "student",
    codec: "exact",
    era: 0,
    spans: [{ group: "gradient", offset: 0, size: 2, unit: 1, signs: false }],
    peaks: [],
    unitsOf: ({ body }) => Float64Array.of(body[0] === 2 ? -1 : 1, 1),
    accounts: () => table.state.roster.accounts.size,
  };
  for (const worker of workers) table.event({ type: "worker-joined", worker });
  const due: Lease[] = [];
  const take = () => {
    for (const lease of table.grants()) {
      due.push(lease);
      for (const copy of trust.granted(lease)) event({ type: "copy-wanted", copy });
    }
    if (table.state.crowded) event({ type: "go-on" });
  };
  const event = (what: Parameters<RoundTable["event"]>[0]) => {
    const effects = table.event(what);
    const sealed = effects.some(({ type }) => type === "seal");
    take();
    return sealed;
  };
  const ready = (worker: WorkerId) => event({ type: "worker-ready", worker });
  for (let round = 0; round < ROUNDS; round++) {
    table.now += ROUND_MS;
    for (const worker of workers) {
      const standing = standings.get(worker);
      if (!standing || restMs(table.now, standing) === 0) ready(worker);
    }
    trust.open(reader);
    table.open({ from: 0, to: 32 * ACCOUNTS }, { timeoutMs: 1e9, deadlineMs: 1e9, maxMicrobatches: 1 });
    take();
    const added: HeldWork[] = [];
    while (table.state.phase === "collecting") {
      // An auditor that rests by now is replaced at the next look at the clock.
      if (due.length === 0) event({ type: "tick" });
      if (table.state.phase !== "collecting") break;
      // In any order.
      const [lease] = due.splice(draws.below(due.length), 1);
      if (!table.state.leases.get(lease.lease)) continue;
      const { worker, account, from, to } = lease;
      const counts = lease.purpose !== "audit";
      const work = workOf(lying.has(account));
      if (counts && lying.has(account)) history.lies++;
      const held = !counts || trust.holds(lease);
      const follows = held ? trust.take(lease, work) : undefined;
      if (!held) added.push(work);
      for (const copy of follows?.copies ?? []) event({ type: "copy-wanted", copy });
      for (const range of follows?.withdrawn ?? []) event({ type: "contribution-withdrawn", ...range });
      const refusal = { code: "CONTRIBUTION_DISPUTED", message: "" } as const;
      if (follows?.disputed) event({ type: "contribution-refused", worker, lease: lease.lease, ...refusal });
      else event({ type: "contribution", worker, lease: lease.lease, samples: to - from });
      for (const resting of follows?.resting ?? []) event({ type: "account-rests", account: resting });
      const standing = standings.get(account);
      if (!standing || restMs(table.now, standing) === 0) ready(worker);
    }
    due.length = 0;
    const held = trust.seal().map(({ work }) => work);
    for (const { body } of [...added, ...held]) if (body[0] === 2) history.through++;
    table.event({ type: "applied" });
    table.event({ type: "committed" });
  }
  return history;
}

/** Means of a few histories. */
function meanOf(liars: number): History {
  const all = Array.from({ length: SEEDS }, (_, seed) => historyOf(seed, liars));
  const mean = (of: (history: History) => number) => all.reduce((sum, one) => sum + of(one), 0) / all.length;
  return {
    lies: mean(({ lies }) => lies),
    through: mean(({ through }) => through),
    liarsRested: mean(({ liarsRested }) => liarsRested),
    honestRested: mean(({ honestRested }) => honestRested),
  };
}

test("Z12 one liar of twenty is found out with its first lease, each time, and nothing of it gets through", () => {
  const { through, liarsRested, honestRested } = meanOf(1);
  expect(through).toBe(0);
  expect(honestRested).toBe(0);
  // 30, 60 and 120 s of the five minutes.
  expect(liarsRested).toBeGreaterThanOrEqual(3);
});

test("Z17 of two of twenty that agree, at most one lie in ten gets through, and hardly anybody honest rests", () => {
  const { lies, through, liarsRested, honestRested } = meanOf(2);
  expect(lies).toBeGreaterThan(5);
  expect(through).toBeLessThan(lies / 10);
  expect(liarsRested).toBeGreaterThan(5);
  expect(honestRested).toBeLessThan(0.5);
});
