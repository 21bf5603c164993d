// What the rounds are told by trust: pure of sockets, with contributions that are made up.

import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round/lease.ts";
import type { ComparisonTerms } from "../../../coordinator/sum/comparison.ts";
import type { HeldWork } from "../../../coordinator/sum/contribution.ts";
import type { OpenRound } from "../../../coordinator/sum/open-round.ts";
import { UNDECIDED_AUDITS } from "../../../coordinator/trust/audits.ts";
import { PEAK_FACTOR } from "../../../coordinator/trust/clip-rule.ts";
import { PEAK_SPREAD } from "../../../coordinator/trust/peak-medians.ts";
import { JUMP_ACCOUNTS } from "../../../coordinator/trust/size-judge.ts";
import type { Standing } from "../../../coordinator/trust/standing.ts";
import { type LeaseId, leaseId, workerId } from "../../../shared/base/ids.ts";
import { comparing, plainRound as reader } from "../../fixtures/open-round.ts";
import { heldWork, roundTrust } from "../../fixtures/round-trust.ts";

const right = heldWork(1, 2, 3, 4);
const wrong = heldWork(4, 3, 2, 1);

let leases = 0;
/** The newest lease of work, by range: an audit is of it. */
const audited = new Map<number, LeaseId>();
function leaseOf(account: string, from: number, purpose: "work" | "audit"): Lease {
  const term = {
    lease: leaseId(++leases),
    worker: workerId(account),
    account,
    from,
    to: from + 32,
    grantedAt: 0,
    startedAt: 0,
    expires: 1,
    receivedAt: null,
    endsAt: null,
    overdue: false,
  };
  if (purpose === "work") {
    audited.set(from, term.lease);
    return { ...term, purpose, twin: null, lent: false };
  }
  const of = audited.get(from) ?? term.lease;
  return { ...term, purpose, copy: { purpose, of, from, to: from + 32, answered: [], distrusted: new Set(), draw: 0 } };
}

test("Z34 an account that is contradicted by its own last answer loses what else of it was held, too", () => {
  const trust = roundTrust();
  trust.open(reader);
  const [first, second] = [leaseOf("liar", 0, "work"), leaseOf("liar", 32, "work")];
  for (const lease of [first, second]) trust.granted(lease);
  expect(trust.take(first, wrong).disputed).toBe(false);
  for (const account of ["a", "b"]) trust.take(leaseOf(account, 32, "audit"), right);
  const { disputed, withdrawn, resting } = trust.take(second, wrong);
  expect(disputed).toBe(true);
  expect(withdrawn).toEqual([{ account: "liar", from: 0, to: 32 }]);
  expect(resting).toEqual(["liar"]);
  expect(trust.seal()).toEqual([]);
});

test("Z27 no more is audited or held than there is room for until the round's end", () => {
  const trust = roundTrust({ heldBytes: 6 * reader.contributionBytes });
  for (let round = 0; round < 2; round++) {
    trust.open(reader);
    // Two answers of each.
    const [a, b, c, d] = ["a", "b", "c", "d"].map((account, i) => leaseOf(account, 32 * i, "work"));
    expect([a, b, c, d].map((lease) => trust.granted(lease).length)).toEqual([1, 1, 1, 0]);
    expect(trust.holds(d)).toBe(false);
    trust.take(a, right);
    expect(trust.holds(leaseOf("a", 256, "work"))).toBe(false);
    for (const lease of [b, c]) trust.take(lease, right);
    for (const { from } of [a, b, c]) trust.take(leaseOf("auditor", from, "audit"), right);
    // Three are held, so there is room for three more.
    const [e, f] = ["e", "f"].map((account, i) => leaseOf(account, 128 + 32 * i, "work"));
    expect([e, f].map((lease) => trust.granted(lease).length)).toEqual([1, 0]);
    trust.take(e, right);
    expect(trust.seal()).toHaveLength(4);
  }
});

test("Z28 one lease of a round is audited where there is room for none", () => {
  const trust = roundTrust({ heldBytes: 1 });
  for (let round = 0; round < 2; round++) {
    trust.open(reader);
    const [a, b] = ["a", "b"].map((account, i) => leaseOf(account, 32 * i, "work"));
    expect([a, b].map((lease) => trust.granted(lease).length)).toEqual([1, 0]);
    trust.take(a, right);
    trust.take(leaseOf("b", 0, "audit"), right);
    expect(trust.seal()).toHaveLength(1);
  }
});

test("Z29 an account that is lent the range which it compared confirms nobody: another compares it", () => {
  const standings = new Map<string, Standing>();
  const trust = roundTrust({ standings });
  trust.open(reader);
  const slow = leaseOf("slow", 0, "work");
  trust.granted(slow);
  trust.take(leaseOf("liar", 0, "audit"), wrong);
  const { copies } = trust.take({ ...slow, account: "liar", purpose: "backup", twin: null, lent: false }, wrong);
  expect(copies).toMatchObject([{ from: 0, to: 32, answered: ["liar"] }]);
  expect(standings.size).toBe(0);
  trust.take(leaseOf("a", 0, "audit"), right);
  expect(trust.take(leaseOf("b", 0, "audit"), right).resting).toEqual(["liar"]);
});

test("Z35 two that agree have an odd one's work done again, and it is blamed once a third agrees with them", () => {
  const standings = new Map<string, Standing>();
  const trust = roundTrust({ standings });
  trust.open({ ...reader, accounts: () => 5 });
  const lease = leaseOf("odd", 0, "work");
  trust.granted(lease);
  trust.take(lease, wrong);
  const audit = leaseOf("a", 0, "audit");
  const answer = (account: string) => trust.take({ ...audit, account }, right);
  expect(answer("a")).toMatchObject({ withdrawn: [], resting: [], copies: [{ answered: ["odd", "a"] }] });
  const withdrawn = [{ account: "odd", from: 0, to: 32 }];
  expect(answer("b")).toMatchObject({ withdrawn, resting: [], copies: [{ answered: ["odd", "a", "b"] }] });
  // Whatever else comes of it is held, and its range is leased and audited anew.
  expect(trust.holds(leaseOf("odd", 32, "work"))).toBe(true);
  expect(trust.granted(leaseOf("d", 0, "work"))).toHaveLength(1);
  expect(answer("c")).toMatchObject({ withdrawn: [], resting: ["odd"], copies: [] });
  expect(trust.holds(leaseOf("odd", 32, "work"))).toBe(false);
  expect(["a", "b", "c"].map((account) => standings.get(account)?.consecutiveValid)).toEqual([1, 1, 1]);
  // Who was contradicted is drawn for no audit.
  const [copy] = trust.granted(leaseOf("a", 64, "work"));
  expect([...copy.distrusted]).toEqual(["odd"]);
});

test("Z30 in the first round the first that come are audited too, later there must be three accounts, or the operator's own", () => {
  const trust = roundTrust();
  for (const copies of [1, 0]) {
    trust.open({ ...reader, accounts: () => 1 });
    expect(trust.granted(leaseOf("first", 0, "work"))).toHaveLength(copies);
  }
  // Beside the operator's own a stranger is audited by them, and they by nobody.
  trust.open({ ...reader, accounts: () => 2, own: (account) => account === "own", ownTakesPart: () => true });
  expect(trust.granted(leaseOf("stranger", 0, "work"))).toMatchObject([{ own: true, awaited: true }]);
  expect(trust.granted(leaseOf("own", 32, "work"))).toEqual([]);
});

test("Z26 a range that two audits which decided nothing reach into is audited no more in the round", () => {
  const trust = roundTrust();
  trust.open(reader);
  for (let i = 0; i < UNDECIDED_AUDITS; i++) {
    const lease = leaseOf("a", 0, "work");
    expect(trust.granted(lease)).toHaveLength(1);
    trust.take(lease, right);
    trust.take(leaseOf("b", 0, "audit"), wrong);
    const { withdrawn, resting } = trust.take(leaseOf("c", 0, "audit"), heldWork(1, 9, 1, 9));
    expect(withdrawn).toEqual([{ account: "a", from: 0, to: 32 }]);
    expect(resting).toEqual([]);
  }
  const copies = (from: number) => trust.granted(leaseOf("a", from, "work")).length;
  expect([0, 16, 32].map(copies)).toEqual([0, 0, 1]);
  trust.open(reader);
  expect(copies(0)).toBe(1);
});

const signSpans: ComparisonTerms = {
  spans: [
    { group: "metric", offset: 0, size: 1, unit: 1, signs: false },
    { group: "gradient", offset: 1, size: 64, unit: 1, signs: true },
  ],
  peaks: [],
};
const signs: OpenRound = {
  ...reader,
  codec: "sign",
  compared: comparing(signSpans, ({ body }) =>
    Float64Array.from(body, (value, i) => (i > 0 && value === 0 ? -32 : 32)),
  ),
};
const said = (turned: boolean): HeldWork =>
  heldWork(1, ...Array.from({ length: 64 }, (_, i) => Number((i % 3 === 0) !== turned)));

test("Z37 signs unlike others' are left out, and held against an account only once its feedback began anew", () => {
  const standings = new Map<string, Standing>();
  const trust = roundTrust({ standings });
  trust.open(signs);
  const audit = (from: number, lease = leaseOf("odd", from, "work")) => {
    trust.granted(lease);
    trust.take(lease, said(true));
    trust.take(leaseOf("a", from, "audit"), said(false));
    return trust.take(leaseOf("b", from, "audit"), said(false));
  };
  const ahead = leaseOf("odd", 32, "work");
  trust.granted(ahead);
  expect(trust.feedbackResetsOf("odd")).toBe(0);
  expect(audit(0)).toMatchObject({ resting: [], withdrawn: [{ account: "odd", from: 0, to: 32 }] });
  expect(trust.feedbackResetsOf("odd")).toBe(1);
  expect(standings.get("odd")).toMatchObject({ consecutiveValid: 0, strikes: 0 });
  // The lease that it held beside the first knows of nothing either.
  trust.take(ahead, said(true));
  trust.take(leaseOf("a", 32, "audit"), said(false));
  expect(trust.take(leaseOf("b", 32, "audit"), said(false)).resting).toEqual([]);
  expect(audit(64)).toMatchObject({ resting: ["odd"] });
  // A comparison is in no sum, so neither is what its feedback makes of it.
  expect(trust.feedbackResetsOf("a")).toBe(3);
});

test("Z36 all but the signs is compared as with any codec", () => {
  const trust = roundTrust();
  trust.open(signs);
  const lease = leaseOf("liar", 0, "work");
  trust.granted(lease);
  const lie = { ...said(false), body: Uint8Array.from([0, ...said(false).body.subarray(1)]) };
  const withoutMetric = {
    ...signs,
    compared: comparing(signSpans, ({ body }) =>
      Float64Array.from(body, (value, i) => (i > 0 && value === 0 ? -32 : value)),
    ),
  };
  trust.open(withoutMetric);
  trust.granted(lease);
  trust.take(lease, lie);
  trust.take(leaseOf("a", 0, "audit"), said(false));
  expect(trust.take(leaseOf("b", 0, "audit"), said(false)).resting).toEqual(["liar"]);
});

const peaked: OpenRound = { ...reader, peaks: [{ name: "conv1.weight", largest: 2, magnitude: true }] };
const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer);

test("Z20 a peak far beyond the round before is refused, unless most accounts have one, and means are no peaks", () => {
  const trust = roundTrust();
  const judge = (account: string, peak: number) => trust.judge({ account }, 32, {}, bits(peak));
  trust.open(peaked);
  expect(judge("a", 2 * PEAK_FACTOR)).toBe(1);
  expect(() => judge("liar", 2.1 * PEAK_FACTOR)).toThrow(
    "the peak of conv1.weight is 67.2, the limit in this round is 64.0",
  );
  expect(() => judge("liar", 1e38)).toThrow(expect.objectContaining({ code: "CONTRIBUTION_OUTLIER" }));
  expect(() => judge("b", 1000)).toThrow("the peak of conv1.weight");
  expect(judge("c", 1000)).toBe(1);
  trust.open({ ...peaked, peaks: [{ ...peaked.peaks[0], magnitude: false }] });
  expect(judge("a", 1e38)).toBe(1);
  trust.open({ ...peaked, peaks: [{ ...peaked.peaks[0], largest: Number.POSITIVE_INFINITY }] });
  expect(judge("a", 1e38)).toBe(1);
  // Fewer than three are no measure of each other, but of what they sent before.
  trust.open({ ...peaked, accounts: () => 2 });
  expect(() => judge("a", 1e38)).toThrow("the peak of conv1.weight");
  expect(judge("a", 2 * PEAK_FACTOR)).toBe(1);
});

test("Z22 whoever raises a peak round by round raises no limit beyond that of the median account", () => {
  const trust = roundTrust();
  let largest = 1;
  let refused = 0;
  for (let round = 0; round < 10; round++) {
    trust.open({ ...peaked, peaks: [{ ...peaked.peaks[0], largest }] });
    for (const account of ["a", "b", "c"]) expect(trust.judge({ account }, 32, {}, bits(1))).toBe(1);
    const forged = PEAK_FACTOR * largest;
    try {
      trust.judge({ account: "liar" }, 32, {}, bits(forged));
      largest = forged;
    } catch {
      refused++;
      largest = 1;
    }
    trust.seal();
  }
  // 32, then 1024, and no more: the next unit follows from what was let through.
  expect(refused).toBe(3);
  trust.open({ ...peaked, peaks: [{ ...peaked.peaks[0], largest: 1e38 }] });
  expect(() => trust.judge({ account: "liar" }, 32, {}, bits(1.01 * PEAK_FACTOR * PEAK_SPREAD))).toThrow("1.02e+3");
});

test("Z21 of a thousand accounts nine agree that the training made a jump", () => {
  const trust = roundTrust();
  trust.open({ ...peaked, accounts: () => 1000 });
  const judge = (i: number) => () => trust.judge({ account: `a${i}` }, 32, {}, bits(1e9));
  for (let i = 0; i < JUMP_ACCOUNTS / 2; i++) expect(judge(i)).toThrow("the peak of conv1.weight");
  expect(judge(JUMP_ACCOUNTS / 2)()).toBe(1);
});
