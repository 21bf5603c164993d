// How leases begin and end in a round's state: the one place where leases, their holders, their twins, the queue and
// what is looked up of them (the overdue ones, how many are being checked) are kept in step.

import { type LeaseId, leaseId, type WorkerId } from "../../shared/base/ids.ts";
import type { CancelReason } from "../../shared/wire/protocol.ts";
import { type Answering, afterAnswer, afterLapse, afterMiss } from "./answering.ts";
import { type CopyWanted, counts, type Lease, type LeaseTerm } from "./lease.ts";
import { type Member, speedOf, updated, withAnswering, withMember, withSpeed, workforce } from "./roster.ts";
import { expired, overtaken, type Speed } from "./sizing.ts";
import type { RequeueCause, RoundEffect, RoundState } from "./state.ts";

/**
 * Whether another may compute the lease's range too: not yet two of them, and `ending`, or nobody knows when it ends.
 */
export function mayBackUp(lease: Lease, ending: boolean): boolean {
  if (!counts(lease) || lease.twin !== null || lease.lent || lease.receivedAt !== null || lease.gateway) return false;
  return ending || lease.overdue;
}

/** Its turn among those of which spares are lent. */
function doubtOf(lease: Lease | undefined): number | null {
  return lease && counts(lease) && lease.receivedAt === null ? (lease.doubt ?? null) : null;
}

function booked(state: RoundState, id: LeaseId, lease: Lease | undefined): RoundState {
  const before = state.leases.get(id);
  const leases = lease ? state.leases.set(id, lease) : state.leases.delete(id);
  let { overdue, checking, doubtful, spares } = state;
  const [was, is] = [before && mayBackUp(before, false), lease && mayBackUp(lease, false)];
  if (is && !was) overdue = overdue.set(id, id);
  if (was && !is) overdue = overdue.delete(id);
  // What may not count is not waited for.
  if (lease && lease.receivedAt !== null && lease.purpose !== "spare") checking++;
  if (before && before.receivedAt !== null && before.purpose !== "spare") checking--;
  const [doubted, doubts] = [doubtOf(before), doubtOf(lease)];
  if (doubted !== null && doubted !== doubts) doubtful = doubtful.delete(doubted);
  if (doubts !== null && doubted !== doubts) doubtful = doubtful.set(doubts, id);
  if (lease?.purpose === "spare") spares++;
  if (before?.purpose === "spare") spares--;
  return { ...state, leases, overdue, checking, doubtful, spares };
}

/** The state with a lease added or changed. */
export function withLease(state: RoundState, lease: Lease): RoundState {
  return booked(state, lease.lease, lease);
}

/** The state without a lease. */
export function withoutLease(state: RoundState, id: LeaseId): RoundState {
  return booked(state, id, undefined);
}

/** A range for one worker, before it is a lease. */
export interface Offer {
  readonly worker: WorkerId;
  readonly from: number;
  readonly to: number;
  readonly purpose:
    | { readonly kind: "work" }
    | { readonly kind: "backup"; readonly of: LeaseId }
    | { readonly kind: "copy"; readonly copy: CopyWanted }
    | { readonly kind: "spare"; readonly of: LeaseId | null };
}

function samplesAdded(
  { samplesByAccount }: RoundState,
  account: string,
  samples: number,
): RoundState["samplesByAccount"] {
  return samplesByAccount.set(account, (samplesByAccount.get(account) ?? 0) + samples);
}

/** The state in which an account holds so many samples more. */
export function withSamples(state: RoundState, account: string, samples: number): RoundState {
  return { ...state, samplesByAccount: samplesAdded(state, account, samples) };
}

/** Grants an offer to a member that has room for it. */
export function granted(now: number, state: RoundState, offer: Offer): { state: RoundState; grant: RoundEffect } {
  const { worker, from, to, purpose } = offer;
  const member = state.roster.members.get(worker);
  if (!member) throw new RangeError(`a lease is offered to ${worker}, who is not there`);
  const id = leaseId(state.nextLease);
  const starts = member.leases.length === 0;
  const before = starts ? undefined : state.leases.get(member.leases[0]);
  const term = {
    lease: id,
    worker,
    account: member.account,
    from,
    to,
    grantedAt: now,
    startedAt: starts ? now : null,
    expires: starts ? expiry(now, state, member) : Number.POSITIVE_INFINITY,
    receivedAt: null,
    endsAt: endOf(starts ? now : (before?.endsAt ?? null), to - from, member, state),
    overdue: before?.overdue ?? false,
    ...(member.gateway ? { gateway: true as const } : {}),
  };
  const lease = leaseFor(purpose, term, member.proven ? null : state.nextLease);
  const served = purpose.kind === "work" ? { served: state.round } : {};
  const holding: Partial<Member> = {
    leases: [...member.leases, id],
    // Who has room for many asks for the next at once, behind those who have asked before.
    ticket: member.gateway ? state.roster.nextTicket : null,
    expected: null,
    leftOut: 0,
    open: member.open === undefined ? undefined : member.open + to - from,
    ...served,
  };
  // A round that everybody had left starts anew; one that nobody waits for in has not begun.
  const fresh = state.since === null || (state.leases.size === state.spares && state.collected.size === 0);
  let next: RoundState = withLease(
    {
      ...state,
      phase: "collecting",
      since: fresh && purpose.kind !== "spare" ? now : state.since,
      nextLease: state.nextLease + 1,
      roster: withMember(withTicket(state.roster, holding.ticket ?? null), worker, { ...member, ...holding }),
      samplesByAccount: counts(lease) ? samplesAdded(state, member.account, to - from) : state.samplesByAccount,
    },
    lease,
  );
  if (purpose.kind === "backup") {
    const twin = next.leases.get(purpose.of);
    if (twin && counts(twin)) next = withLease(next, { ...twin, twin: id });
  }
  return { state: next, grant: { type: "grant", lease } };
}

/** The roster from which a ticket was taken, where one was. */
function withTicket(roster: RoundState["roster"], ticket: number | null): RoundState["roster"] {
  return ticket === null ? roster : { ...roster, nextTicket: ticket + 1 };
}

/** @param doubt of a lease that counts where nobody knows whether its holder answers */
function leaseFor(purpose: Offer["purpose"], term: LeaseTerm, doubt: number | null): Lease {
  switch (purpose.kind) {
    case "copy":
      return { ...term, purpose: purpose.copy.purpose, copy: purpose.copy };
    case "spare":
      return { ...term, purpose: "spare", of: purpose.of };
    case "work":
      return { ...term, purpose: "work", twin: null, lent: false, doubt };
    case "backup":
      return { ...term, purpose: "backup", twin: purpose.of, lent: false, doubt };
    default:
      return purpose satisfies never;
  }
}

/** When a lease that begins now expires. */
function expiry(now: number, { options }: RoundState, { gateway }: Member): number {
  return gateway ? Number.POSITIVE_INFINITY : now + options.timeoutMs;
}

/** When a lease that begins at `from` ends, by its holder's speed; null where either is unknown. */
function endOf(from: number | null, samples: number, member: Member, { roster }: RoundState): number | null {
  const speed = speedOf(member, roster.phase);
  return from === null || speed === undefined ? null : from + (1000 * samples) / speed;
}

/** The state after the holder of a lease is done with it and goes on with its next one; `holder` changes it. */
function released(now: number, state: RoundState, lease: Lease, holder: (member: Member) => Member): RoundState {
  const before = state.roster.members.get(lease.worker);
  if (!before) return state;
  const rest = before.leases.filter((id) => id !== lease.lease);
  const member = holder({ ...before, leases: rest });
  const next = { ...state, roster: withMember(state.roster, lease.worker, member) };
  const following = rest.length > 0 ? state.leases.get(rest[0]) : undefined;
  if (following?.startedAt !== null) return next;
  return withLease(next, {
    ...following,
    startedAt: now,
    expires: expiry(now, state, member),
    endsAt: endOf(now, following.to - following.from, member, state),
    overdue: member.suspended,
  });
}

/** The state without a lease; its twin is alone. */
function ended(now: number, state: RoundState, lease: Lease, holder: (member: Member) => Member): RoundState {
  let next = withoutLease(state, lease.lease);
  if (counts(lease) && lease.twin !== null) {
    const twin = next.leases.get(lease.twin);
    if (twin && counts(twin)) next = withLease(next, { ...twin, twin: null });
  }
  return released(now, next, lease, holder);
}

/** The state after the contribution to a lease came: it is checked while its worker goes on. */
export function received(now: number, state: RoundState, lease: Lease): RoundState {
  const next = withLease(state, { ...lease, receivedAt: now });
  return released(now, next, lease, (member) => ({ ...member, expected: state.round }));
}

/** The state in which nobody knows, or it is known again, when a worker will be done with its leases. */
export function withOverdue(state: RoundState, worker: WorkerId, overdue: boolean): RoundState {
  let next = state;
  for (const id of state.roster.members.get(worker)?.leases ?? []) {
    const lease = next.leases.get(id);
    if (lease && lease.overdue !== overdue) next = withLease(next, { ...lease, overdue });
  }
  return next;
}

/** The state after a lease was answered; `speed` is what that tells of its holder. */
export function answered(now: number, state: RoundState, lease: Lease, speed: (before: Speed) => Speed): RoundState {
  const next = ended(now, state, lease, (member) => ({
    ...withSpeed(member, state.roster.phase, speed),
    expected: state.round,
  }));
  return shown(next, lease, afterAnswer);
}

/** The state after a lease's end has shown something of its holder's account. */
function shown(state: RoundState, { worker }: Lease, change: (before: Answering) => Answering): RoundState {
  const member = state.roster.members.get(worker);
  return member ? { ...state, roster: withAnswering(state.roster, member, change) } : state;
}

/** Trials of a worker that may be answered late: as many as it can hold. */
const REMEMBERED_TRIALS = 2;

/** A lease is overdue when it has taken so much longer than its holder's speed says. */
export const OVERDUE = 0.25;
/** Added to every estimate for the grant's way to the worker and the answer's way back. */
export const ROUND_TRIP_MS = 250;

/** Whether it has taken so long that it is its holder's fault that others did not wait; `since`: when it was begun. */
function wasLate(now: number, { overdue, endsAt }: Lease, since: number): boolean {
  return overdue || endsAt === null || now > endsAt + OVERDUE * (endsAt - since) + ROUND_TRIP_MS;
}

/** What its holder has shown with a lease that ends without an answer. */
function failing(now: number, state: RoundState, lease: Lease, cause: RequeueCause | CancelReason): RoundState {
  const { proven = false, own = false } = state.roster.members.get(lease.worker) ?? {};
  // A gateway's volunteers have shown it to the gateway.
  if (lease.gateway) return state;
  const lapse = (before: Answering) => (proven ? afterLapse : afterMiss)(now, before);
  // Whoever started the run answers for its own: they may give back what they like.
  const miss = (before: Answering) => (own ? before : afterMiss(now, before));
  switch (cause) {
    case "expired":
    case "answered":
    case "sealed":
      if (lease.purpose === "spare") return shown(state, lease, miss);
      if (!counts(lease)) return state;
      if (lease.startedAt === null || lease.receivedAt !== null) return state;
      return wasLate(now, lease, lease.startedAt) ? shown(state, lease, lapse) : state;
    // It did answer, if nothing of use: it has to do so again before others wait for it, and not to wait itself.
    case "refused":
      return shown(state, lease, (before) => ({ ...before, answers: own ? before.answers : 0 }));
    case "returned":
    case "left":
      return shown(state, lease, miss);
    case "rests":
    case "stopped":
      return state;
    default:
      return cause satisfies never;
  }
}

/** What became of the holder with its lease: it asks again at once, or not until it says so. */
const asksAgain: Record<RequeueCause, boolean> = {
  refused: true,
  expired: false,
  returned: false,
  left: false,
  rests: false,
};

/**
 * The state after a lease ended unanswered: unless its twin goes on, the range is at the head of the queue.
 * @param notFinite its worker says that the numbers are, and no more
 */
export function lapsed(
  now: number,
  state: RoundState,
  lease: Lease,
  cause: RequeueCause,
  notFinite = false,
): { readonly state: RoundState; readonly effects: readonly RoundEffect[] } {
  const samples = lease.to - lease.from;
  const { timeoutMs } = state.options;
  let next = ended(now, failing(now, state, lease, notFinite ? "refused" : cause), lease, (member) => {
    const late = cause === "expired" && lease.startedAt !== null;
    const known = late ? withSpeed(member, state.roster.phase, (speed) => expired(speed, samples, timeoutMs)) : member;
    return { ...known, expected: asksAgain[cause] ? state.round : null };
  });
  const twin = counts(lease) && lease.twin !== null ? next.leases.get(lease.twin) : undefined;
  if (cause === "expired" && twin && counts(twin)) {
    next = withLease(next, { ...twin, lent: true });
  }
  if (!counts(lease)) {
    // Somebody else makes the comparison.
    if ("copy" in lease) next = { ...next, copies: next.copies.with({ copy: lease.copy, auditor: null }) };
    return { state: next, effects: [{ type: "lapse", cause, lease, again: false }] };
  }
  next = withSamples(next, lease.account, -samples);
  const again = lease.twin === null;
  if (again) next = { ...next, unleased: [{ from: lease.from, to: lease.to }, ...next.unleased] };
  return { state: next, effects: [{ type: "lapse", cause, lease, again }] };
}

/** The state after a lease was taken away, because its range is answered or the round is over. */
export function cancelled(
  now: number,
  state: RoundState,
  lease: Lease,
  reason: CancelReason,
): { readonly state: RoundState; readonly effect: RoundEffect } {
  const { startedAt, from, to } = lease;
  const samples = to - from;
  const next = ended(now, failing(now, state, lease, reason), lease, (member) => {
    // The run's end says nothing of a worker, nor does a lease that it had not begun.
    const bounded = startedAt !== null && startedAt < now && reason !== "stopped";
    const known = bounded
      ? withSpeed(member, state.roster.phase, (speed) => overtaken(speed, samples, now - startedAt))
      : member;
    return { ...known, expected: state.round };
  });
  return {
    state: counts(lease) ? withSamples(next, lease.account, -samples) : next,
    effect: { type: "cancel", reason, lease },
  };
}

/** Whether a spare is there to show that its holder answers: rounds may be over sooner than any newcomer could. */
function isTrial({ roster }: RoundState, { purpose, worker, receivedAt }: Lease): boolean {
  if (purpose !== "spare" || receivedAt !== null || workforce(roster) === roster.unproven) return false;
  return roster.members.get(worker)?.proven === false;
}

/** The state without a trial of which nothing is said to its holder: its answer shows as much when it comes late. */
function left(now: number, state: RoundState, lease: Lease): RoundState {
  return ended(now, state, lease, (member) => ({
    ...member,
    trials: [...member.trials, lease.lease].slice(-REMEMBERED_TRIALS),
  }));
}

/** The state after an answer that came when its round was over: of a trial it shows that its account answers. */
export function shownLate(state: RoundState, worker: WorkerId, lease: LeaseId): RoundState {
  const member = state.roster.members.get(worker);
  if (!member?.trials.includes(lease)) return state;
  const trials = member.trials.filter((one) => one !== lease);
  const roster = updated(state.roster, worker, { trials });
  return { ...state, roster: withAnswering(roster, member, afterAnswer) };
}

/** The state with all leases taken away. */
export function allCancelled(
  now: number,
  state: RoundState,
  reason: CancelReason,
): { readonly state: RoundState; readonly effects: readonly RoundEffect[] } {
  let next = state;
  const effects: RoundEffect[] = [];
  for (const { lease } of state.leases.values().sort((a, b) => a.lease - b.lease)) {
    const live = next.leases.get(lease);
    if (!live) continue;
    if (reason === "sealed" && isTrial(state, live)) {
      next = left(now, next, live);
      continue;
    }
    const taken = cancelled(now, next, live, reason);
    next = taken.state;
    effects.push(taken.effect);
  }
  return { state: next, effects };
}
