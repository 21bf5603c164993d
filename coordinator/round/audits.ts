// Who computes the copies that audits compare: an account that is drawn, not the one that asks first, or whoever lies
// could see to it that an accomplice is always there; and none from the address of those who answered already, where
// others are, and none that would keep the round waiting, where others would not.

import type { WorkerId } from "../../shared/base/ids.ts";
import { rng } from "../../shared/base/rng.ts";
import { AuditCopies, type AuditCopy } from "./audit-copies.ts";
import { BACKUP_FROM } from "./deadline.ts";
import type { CopyWanted, Lease } from "./lease.ts";
import { type Member, newestOf, type Roster, speedOf, totalSpeed, workforce } from "./roster.ts";
import type { RoundChange, RoundEffect, RoundState } from "./state.ts";

/**
 * Accounts drawn from the trusted at other addresses than the answers', and then from all, before anybody may who asks.
 */
const DRAWS = 24;
/** Of the time that the whole round takes all who are there, what a comparison may last where it begins late. */
const LATE_SHARE = 1 / 4;
/** Where nobody is quick enough: one drawn later is preferred when it needs no more than this share of the time. */
const QUICKER = 0.8;
/**
 * When all samples are there, comparisons are waited for as long as the larger of these shares says: longer in the
 * first round of a kind, of whose workers nothing is known. Only where a worker's share is one lease, so that a
 * comparison may well begin when all else is done: of several, most are audited long before, and all would wait for the
 * auditors who are always late.
 */
const WHOLE_PATIENCE = {
  first: { ofTheirTime: 1 / 16, ofMinDeadline: 1 / 4 },
  later: { ofTheirTime: 1 / 80, ofMinDeadline: 1 / 20 },
} as const;
/** An answer that decides between two is waited for until the round has taken so many times as long as it may. */
export const DISPUTE_PATIENCE = 2;
/** Where all else is done, answers that go from one gateway to another are waited for so long, at both. */
export const AWAY_PATIENCE_MS = 3000;

/** Time in which a comparison is done before the round is, or a little later. */
function patienceMs(now: number, { roster, since, wanted }: RoundState): number {
  const roundMs = (1000 * wanted) / totalSpeed(workforce(roster).active).total;
  return Math.max((since ?? now) + roundMs - now, LATE_SHARE * roundMs);
}

/** Time in which a worker is done with what it holds and a comparison; none where its speed is unknown. */
function durationMs({ roster, leases }: RoundState, member: Member, { from, to }: CopyWanted): number {
  const held = member.leases.reduce((sum, id) => {
    const lease = leases.get(id);
    return lease ? sum + lease.to - lease.from : sum;
  }, 0);
  const speed = speedOf(member, roster.phase);
  return speed === undefined ? 0 : (1000 * (held + to - from)) / speed;
}

/** The first of the drawn that is quick enough, or else quicker than those before it; an account may be drawn again. */
function drawnAuditor(now: number, state: RoundState, copy: CopyWanted): string | null {
  const { roster } = state;
  const draws = rng(copy.draw, "auditor");
  const addresses = copy.answered.map((account) => newestOf(roster, account)?.[1].address ?? null);
  const enoughMs = patienceMs(now, state);
  let best: { readonly account: string; readonly ms: number } | undefined;
  for (let i = 0; i < 2 * DRAWS; i++) {
    if (i === DRAWS && best) break;
    const [account] = workforce(roster).accounts.drawn(draws.uniform()) ?? [""];
    const [, newest] = newestOf(roster, account) ?? [];
    if (!newest || newest.gateway || copy.answered.includes(account)) continue;
    if (i < DRAWS && copy.distrusted.has(account)) continue;
    if (i < DRAWS && copy.own && !newest.own) continue;
    // The operator's own are no accomplices, whoever comes from their address.
    if (i < DRAWS && !newest.own && newest.address !== null && addresses.includes(newest.address)) continue;
    const ms = durationMs(state, newest, copy);
    if (ms <= enoughMs) return account;
    if (!best || ms < QUICKER * best.ms) best = { account, ms };
  }
  return best?.account ?? null;
}

/** The state with a copy to be computed by an account that is drawn, and a worker of it. */
export function withCopy(
  now: number,
  state: RoundState,
  copy: CopyWanted,
): { readonly state: RoundState; readonly worker: WorkerId | undefined } {
  const auditor = drawnAuditor(now, state, copy);
  const worker = auditor === null ? undefined : newestOf(state.roster, auditor)?.[0];
  return { state: { ...state, copies: state.copies.with({ copy, auditor }) }, worker };
}

/**
 * Towards the end of a round, and where its auditor has gone or is none of those any more who are lent such, a copy is
 * for anybody; one for the operator's own is theirs while they are there.
 */
export function reassigned(now: number, state: RoundState): RoundState {
  const { copies, since, options, roster } = state;
  if (copies.size === 0) return state;
  const ending = since !== null && now >= since + BACKUP_FROM * options.deadlineMs;
  const waits = ({ copy, auditor }: AuditCopy) =>
    auditor === null || ((!ending || copy.own === true) && workforce(roster).accounts.get(auditor) !== undefined);
  const all = [...copies];
  if (all.every(waits)) return state;
  return { ...state, copies: AuditCopies.of(all.map((due) => (waits(due) ? due : { ...due, auditor: null }))) };
}

/** Whether an account that takes part may compute the copy. */
function canCompare({ copy, auditor }: AuditCopy, roster: Roster): boolean {
  const { accounts } = workforce(roster);
  if (auditor !== null && accounts.get(auditor) !== undefined) return true;
  return accounts.size > copy.answered.filter((account) => accounts.get(account) !== undefined).length;
}

/** The state without the copies for other gateways that nobody who takes part can compute: others do, elsewhere. */
export function declining(state: RoundState): RoundChange {
  const { copies, roster } = state;
  const isStuck = (due: AuditCopy) => due.copy.order !== undefined && !canCompare(due, roster);
  if (!copies.some(isStuck)) return { state, effects: [] };
  const all = [...copies];
  const effects = all.flatMap((due): readonly RoundEffect[] => {
    const { order } = due.copy;
    return order !== undefined && isStuck(due) ? [{ type: "decline", order }] : [];
  });
  return { state: { ...state, copies: AuditCopies.of(all.filter((due) => !isStuck(due))) }, effects };
}

/**
 * Whether the round waits for a comparison: until it is late for any, or they alone have kept it waiting for some time,
 * and longer for those that decide between two answers, one of which would be in the sum.
 */
export function comparisonDue(now: number, state: RoundState): boolean {
  const { copies, away, leases, roster, since, options } = state;
  const age = since === null ? 0 : now - since;
  if (age >= DISPUTE_PATIENCE * options.deadlineMs) return false;
  const until = patientUntil(state);
  const late = age >= options.deadlineMs || now >= until;
  const awaitedFar = now < farUntil(state);
  if (away.some(({ awaited }) => !late || (awaited === true && awaitedFar))) return true;
  const decides = ({ answered, awaited, order }: CopyWanted) =>
    order === undefined ? answered.length > 1 || awaited === true : awaited === true && awaitedFar;
  if (copies.some((due) => (!late || decides(due.copy)) && canCompare(due, roster))) return true;
  // Nobody waits for an auditor that will not be done in time.
  const inTime = ({ overdue, endsAt, receivedAt }: Lease) =>
    receivedAt !== null || (!overdue && (endsAt ?? now) <= until);
  return leases.some((lease) => "copy" in lease && (decides(lease.copy) || (!late && inTime(lease))));
}

/** Until when those are waited for that are another gateway's, or another's for one: how far they are nobody knows. */
function farUntil({ wholeSince, closedSince }: RoundState): number {
  return wholeSince === null ? Number.POSITIVE_INFINITY : Math.max(wholeSince, closedSince ?? 0) + AWAY_PATIENCE_MS;
}

/** Until when comparisons are waited for where all samples are there. */
function patientUntil({ since, wholeSince, options }: RoundState): number {
  if (since === null || wholeSince === null) return Number.POSITIVE_INFINITY;
  if (options.pieces > 1) return wholeSince;
  const { ofTheirTime, ofMinDeadline } = WHOLE_PATIENCE[options.hasHistory ? "later" : "first"];
  return wholeSince + Math.max(ofTheirTime * (wholeSince - since), ofMinDeadline * options.minDeadlineMs);
}
