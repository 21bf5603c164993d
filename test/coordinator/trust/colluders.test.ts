// Accounts that agree on their lie, one in ten and one in five, against the round's own decisions and the audits: what
// gets through, and whom it costs.

import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round/lease.ts";
import type { HeldWork } from "../../../coordinator/sum/contribution.ts";
import type { OpenRound } from "../../../coordinator/sum/open-round.ts";
import { restMs, type Standing } from "../../../coordinator/trust/standing.ts";
import { type WorkerId, workerId } from "../../../shared/base/ids.ts";
import { rng } from "../../../shared/base/rng.ts";
import { comparing } from "../../fixtures/open-round.ts";
import { RoundTable } from "../../fixtures/round-table.ts";
import { roundTrust } from "../../fixtures/round-trust.ts";

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
  /** Ranges in sums, leases answered by a lie, how many of these are in sums, and rests of either. */
  readonly committed: number;
  readonly lies: number;
  readonly through: number;
  readonly liarsRested: number;
  readonly honestRested: number;
  /** Leases computed, comparisons too. */
  readonly computed: number;
}

interface Swarm {
  readonly accounts: number;
  /** They agree on one lie, in what they are leased and in what they compare. */
  readonly liars: number;
  /** Rounds in which they are honest. */
  readonly honestRounds?: number;
}

function historyOf(seed: number, { accounts, liars, honestRounds = 0 }: Swarm): History {
  const draws = rng(seed, "colluders");
  const standings = new Map<string, Standing>();
  const workers = Array.from({ length: accounts }, (_, i) => workerId(`v${i}`));
  const accomplices = new Set<string>(workers.slice(0, liars));
  const history = { committed: 0, lies: 0, through: 0, liarsRested: 0, honestRested: 0, computed: 0 };
  const table = new RoundTable([]);
  const trust = roundTrust({
    clock: { now: () => table.now },
    draw: () => draws.uniform(),
    standings,
    onRest: (account) => {
      if (accomplices.has(account)) history.liarsRested++;
      else history.honestRested++;
    },
  });
  const reader: OpenRound = {
    phase: "student",
    codec: "exact",
    peaks: [],
    compared: comparing(
      { spans: [{ group: "gradient", offset: 0, size: 2, unit: 1, signs: false }], peaks: [] },
      ({ body }) => Float64Array.of(body[0] === 2 ? -1 : 1, 1),
    ),
    contributionBytes: 64,
    accounts: () => table.state.roster.proven.accounts.size,
    own: () => false,
    ownTakesPart: () => false,
    replicas: false,
  };
  for (const worker of workers) table.event({ type: "worker-joined", worker });
  const due: Lease[] = [];
  const take = () => {
    for (const lease of table.grants()) {
      due.push(lease);
      for (const copy of trust.granted(lease)) event({ type: "copy-wanted", copy });
    }
    if (table.state.grantsPending) event({ type: "go-on" });
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
    const lies = (account: string) => round >= honestRounds && accomplices.has(account);
    for (const worker of workers) {
      const standing = standings.get(worker);
      if (!standing || restMs(table.now, standing) === 0) ready(worker);
    }
    trust.open(reader);
    table.open({ from: 0, to: 32 * accounts }, { timeoutMs: 1e9, deadlineMs: 1e9, maxMicrobatches: 1 });
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
      const work = workOf(lies(account));
      history.computed++;
      if (counts && lies(account)) history.lies++;
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
    for (const { body } of [...added, ...held]) {
      history.committed++;
      if (body[0] === 2) history.through++;
    }
    table.event({ type: "applied" });
    table.event({ type: "committed" });
  }
  return history;
}

/** Means of a few histories. */
function meanOf(swarm: Swarm): History {
  const all = Array.from({ length: SEEDS }, (_, seed) => historyOf(seed, swarm));
  const mean = (of: (history: History) => number) => all.reduce((sum, one) => sum + of(one), 0) / all.length;
  return {
    committed: mean(({ committed }) => committed),
    lies: mean(({ lies }) => lies),
    through: mean(({ through }) => through),
    liarsRested: mean(({ liarsRested }) => liarsRested),
    honestRested: mean(({ honestRested }) => honestRested),
    computed: mean(({ computed }) => computed),
  };
}

test.each([3, 4, 5, 20])(
  "Z12 one liar of %i is found out with its first lease, each time, and nothing of it gets through",
  (accounts) => {
    const { through, liarsRested, honestRested } = meanOf({ accounts, liars: 1 });
    expect(through).toBe(0);
    expect(honestRested).toBe(0);
    // 30, 60 and 120 s of the five minutes.
    expect(liarsRested).toBeGreaterThanOrEqual(3);
  },
);

test.each([
  { accounts: 20, liars: 2 },
  { accounts: 10, liars: 2 },
  { accounts: 5, liars: 2 },
])("Z19 of $liars of $accounts that agree, one lie in fifty gets through, and nobody honest rests", (swarm) => {
  const { lies, through, liarsRested, honestRested } = meanOf(swarm);
  expect(lies).toBeGreaterThan(5);
  expect(through).toBeLessThanOrEqual(lies / 50);
  expect(liarsRested).toBeGreaterThan(5);
  expect(honestRested).toBe(0);
});

test("Z19 two of twenty that lie once they are trusted spoil one range in fifty, and nobody honest rests", () => {
  const { committed, through, honestRested } = meanOf({ accounts: 20, liars: 2, honestRounds: 10 });
  expect(through).toBeLessThanOrEqual(committed / 50);
  expect(honestRested).toBe(0);
});

test("Z31 what audits compute twice is a quarter of thirty rounds of newcomers, with two colluders of twenty or none", () => {
  const none = meanOf({ accounts: 20, liars: 0 });
  const two = meanOf({ accounts: 20, liars: 2 });
  expect(none.computed / none.committed).toBeLessThan(1.25);
  expect(two.computed / two.committed).toBeLessThan(1.25);
});
