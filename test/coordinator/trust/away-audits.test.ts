// Audits of a gateway that accounts at others decide, as far as trust goes: which they are, and what an answer from
// elsewhere says of whom.

import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round/lease.ts";
import { AWAY_ONE_IN, FEW_ACCOUNTS, type TrustVerdict } from "../../../coordinator/trust/audits.ts";
import type { Standing } from "../../../coordinator/trust/standing.ts";
import { leaseId, workerId } from "../../../shared/base/ids.ts";
import { plainRound } from "../../fixtures/open-round.ts";
import { heldWork, roundTrust } from "../../fixtures/round-trust.ts";

const right = heldWork(1, 2, 3, 4);
const wrong = heldWork(4, 3, 2, 1);

let leases = 0;
function leaseOf(account: string, from = 0): Lease {
  const [lease, worker] = [leaseId(++leases), workerId(account)];
  const times = { grantedAt: 0, startedAt: 0, expires: 1, receivedAt: null, endsAt: null, overdue: false };
  return { lease, worker, account, from, to: from + 32, ...times, purpose: "work", twin: null, lent: false };
}

/** A gateway's trust; at it are so many accounts. */
function gateway(accounts: number, draw = () => 0) {
  const verdicts: TrustVerdict[] = [];
  const rests: string[] = [];
  const standings = new Map<string, Standing>();
  const trust = roundTrust({
    away: true,
    draw,
    standings,
    onVerdict: (verdict) => void verdicts.push(verdict),
    onRest: (account) => void rests.push(account),
  });
  trust.open({ ...plainRound, accounts: () => accounts });
  const far = (account: string, own = false, all = 100) => ({ account, own, deviceClass: "", accounts: all });
  return { trust, verdicts, rests, standings, far };
}

test(`Q60 one audit in ${AWAY_ONE_IN} is away, and at a gateway with fewer than ${FEW_ACCOUNTS} accounts all are`, () => {
  const away = (accounts: number, drawn: number) => {
    // Whether it is audited, whether it is away, and who decides.
    const draws = [0, drawn, 0];
    const { trust } = gateway(accounts, () => draws.shift() ?? 0);
    return trust.granted(leaseOf("a")).map((copy) => copy.away === true);
  };
  expect(away(FEW_ACCOUNTS, 0.99 / AWAY_ONE_IN)).toEqual([true]);
  expect(away(FEW_ACCOUNTS, 1 / AWAY_ONE_IN)).toEqual([false]);
  for (const few of [1, FEW_ACCOUNTS - 1]) expect(away(few, 0.99)).toEqual([true]);
});

test("Q60 a newcomer's audit is waited for, wherever it is; one of whom others confirmed is not", () => {
  const { trust, standings } = gateway(1);
  expect(trust.granted(leaseOf("a"))).toMatchObject([{ away: true, awaited: true }]);
  standings.set("a", { consecutiveValid: 40, strikes: 0, restsUntil: 0 });
  expect(trust.granted(leaseOf("a", 32))).toMatchObject([{ away: true, awaited: false }]);
});

test("Q60 what two say elsewhere against who is alone here has its work done again, and three of many blame it", () => {
  const { trust, verdicts, rests, far } = gateway(1);
  const lease = leaseOf("liar");
  trust.granted(lease);
  expect(trust.holds(lease)).toBe(true);
  trust.take(lease, wrong);
  const more = { away: true, awaited: true };
  expect(trust.takeFar(lease.lease, far("x"), right).copies).toMatchObject([{ ...more, answered: ["liar", "x"] }]);
  const second = trust.takeFar(lease.lease, far("y"), right);
  expect(second).toMatchObject({ withdrawn: [{ account: "liar", from: 0, to: 32 }], copies: [more] });
  expect(rests).toEqual([]);
  expect(trust.takeFar(lease.lease, far("z"), right)).toMatchObject({ resting: ["liar"], copies: [] });
  expect(verdicts).toEqual([{ from: 0, to: 32, right: ["x", "y", "z"], wrong: ["liar"] }]);
  expect(rests).toEqual(["liar"]);
  // Told twice, or too late, it says nothing more.
  expect(trust.takeFar(lease.lease, far("v"), right)).toMatchObject({ resting: [], withdrawn: [], copies: [] });
  expect(verdicts.length).toBe(1);
});

test("Q60 the answer of the operator's own, wherever it is, decides at once", () => {
  const { trust, verdicts, far } = gateway(1);
  const lease = leaseOf("liar");
  trust.granted(lease);
  trust.take(lease, wrong);
  expect(trust.takeFar(lease.lease, far("own", true), right).resting).toEqual(["liar"]);
  expect(verdicts).toMatchObject([{ right: ["own"], wrong: ["liar"] }]);
});

test("Q60 standings of accounts elsewhere are not kept here: whoever writes them is told", () => {
  const { trust, verdicts, standings, rests, far } = gateway(1);
  const lease = leaseOf("a");
  trust.granted(lease);
  trust.take(lease, right);
  // Of few accounts two that agree decide against one.
  trust.takeFar(lease.lease, far("liar", false, 3), wrong);
  trust.takeFar(lease.lease, far("b", false, 3), right);
  expect(verdicts).toEqual([{ from: 0, to: 32, right: ["a", "b"], wrong: ["liar"] }]);
  expect([...standings.keys()]).toEqual(["a"]);
  expect(rests).toEqual([]);
});

test("Q60 an answer from elsewhere may come before the one that is audited, and an account answers once", () => {
  const { trust, verdicts, far } = gateway(1);
  const lease = leaseOf("a");
  trust.granted(lease);
  expect(trust.answersFar(lease.lease, "x")).toEqual([]);
  trust.takeFar(lease.lease, far("x"), right);
  expect(trust.takeFar(lease.lease, far("x"), right).copies).toMatchObject([{ away: true, answered: ["x"] }]);
  expect(verdicts).toEqual([]);
  trust.take(lease, right);
  expect(verdicts).toMatchObject([{ right: ["x", "a"], wrong: [] }]);
});

test("Q67 an audit whose answer does not come is as if it had never been: nothing is held for it any more", () => {
  const { trust, verdicts, far } = gateway(1);
  const [lease, next] = [leaseOf("a"), leaseOf("a", 32)];
  trust.granted(lease);
  trust.take(lease, right);
  expect(trust.holds(leaseOf("a", 64))).toBe(true);
  trust.lost(lease.lease);
  expect(trust.holds(leaseOf("a", 64))).toBe(false);
  trust.takeFar(lease.lease, far("x"), wrong);
  expect(verdicts).toEqual([]);
  trust.granted(next);
  trust.lost(next.lease);
  expect(trust.holds(next)).toBe(false);
  // What was answered counts.
  expect(trust.seal().length).toBe(1);
});

test("Q64 what nobody elsewhere can decide somebody here does, where there are accounts to compare", () => {
  const { trust, verdicts } = gateway(4);
  const lease = leaseOf("a");
  const [away] = trust.granted(lease);
  const home = trust.home(away);
  expect(home).toMatchObject({ of: lease.lease, from: 0, to: 32, answered: ["a"] });
  expect(home?.away).toBeUndefined();
  expect(verdicts).toEqual([]);
  const alone = gateway(1);
  // In the first round the first that came are compared with those who come next; later nobody is there.
  alone.trust.open({ ...plainRound, accounts: () => 1 });
  const second = leaseOf("a");
  const [copy] = alone.trust.granted(second);
  expect(alone.trust.home(copy)).toBeUndefined();
  expect(alone.trust.holds(second)).toBe(false);
});
