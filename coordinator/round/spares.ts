// Spares: leases that nobody waits for. A key costs nothing, so of those whose accounts have not answered yet a round
// may have any number that never will: they are lent ranges that stay others' to take, and what they answer counts
// where nobody was quicker. And where they do hold what others wait for, as before anybody has answered, whoever is
// idle is lent a spare of it at once, however many hold one already.

import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import { allowance, type Granting, give, mayHelp, mostLent, takers } from "./grants.ts";
import { counts, type SpareLease, type WorkLease } from "./lease.ts";
import { cancelled, withLease, withSamples } from "./leases.ts";
import { answeringOf, type Member, speedOf, workforce } from "./roster.ts";
import { TIMEOUT_SHARE } from "./sizing.ts";
import { isLate, type RoundChange, type RoundEffect, type RoundState } from "./state.ts";

/** Leases looked at for one that a worker may be lent a spare of. */
const CONSIDERED = 8;
/** Spreads what the unproven try over the leases that are out. */
const SPREAD = 0.618_033_988_749_895;

/** Who is considered. */
type SpareOccasion =
  | { readonly kind: "all" }
  | { readonly kind: "asker"; readonly worker: WorkerId }
  | { readonly kind: "copy" }
  | { readonly kind: "event"; readonly begins?: boolean };

export function grantSpares(now: number, granting: Granting, occasion: SpareOccasion): void {
  const all = occasion.kind === "all" || (occasion.kind === "event" && occasion.begins === true);
  if (!all && occasion.kind !== "asker") return;
  const asker = occasion.kind === "asker" ? occasion.worker : undefined;
  if (granting.state.unleased.length === 0 && granting.state.doubtful.size > 0) grantDoubtful(now, granting, asker);
  const { roster } = granting.state;
  if (workforce(roster) !== roster.unproven) grantTrials(now, granting, asker);
}

/** Lends whoever is idle what is held by those of whom nobody knows whether they answer. */
function grantDoubtful(now: number, granting: Granting, only?: WorkerId): void {
  for (const [worker, member] of takers(granting, only)) {
    if (granting.left === 0) return;
    const lease = doubtfulFor(now, granting.state, member);
    if (!lease) continue;
    const turn = granting.state.nextLease;
    give(now, granting, { worker, from: lease.from, to: lease.to, purpose: { kind: "spare", of: lease.lease } });
    // The others have their turn before it has another.
    granting.state = withLease(granting.state, { ...lease, doubt: turn });
  }
}

function doubtfulFor(now: number, state: RoundState, member: Member): WorkLease | undefined {
  const most = mostLent(now, state, member);
  const holds = (of: LeaseId) => {
    return member.leases.some((id) => {
      const held = state.leases.get(id);
      return id === of || (held?.purpose === "spare" && held.of === of);
    });
  };
  let considered = 0;
  for (const [, id] of state.doubtful) {
    if (considered++ === CONSIDERED) return undefined;
    const lease = state.leases.get(id);
    if (lease && counts(lease) && !holds(id) && mayHelp(state, lease, member) && lease.to - lease.from <= most)
      return lease;
  }
  return undefined;
}

/** Lends the unproven what they can show with that they answer. */
function grantTrials(now: number, granting: Granting, only?: WorkerId): void {
  const { unproven } = granting.state.roster;
  const line = only === undefined ? unproven.idle : [[0, only] as const];
  for (const [, worker] of line) {
    const { state } = granting;
    if (granting.left === 0) return;
    const member = state.roster.members.get(worker);
    if (!member || member.proven || member.ticket === null || member.leases.length > 0) continue;
    if (member.suspended || member.resting || now < answeringOf(state.roster, member.account).waitsUntil) continue;
    const trial = trialFor(state, member);
    if (!trial) continue;
    const { from, to, of } = trial;
    granting.state = { ...state, trials: state.trials + 1 };
    give(now, granting, { worker, from, to, purpose: { kind: "spare", of } });
  }
}

/** Microbatches of a trial: those of a first lease. */
function trialSize({ options, roster }: RoundState, member: Member): number {
  const { first, maxMicrobatches, microbatch, timeoutMs } = options;
  const speed = speedOf(member, roster.phase) ?? Number.POSITIVE_INFINITY;
  const inTime = Math.max(1, Math.floor((speed * timeoutMs * TIMEOUT_SHARE) / 1000 / microbatch));
  return Math.min(Number.isFinite(first) ? first : 1, maxMicrobatches, member.maxMicrobatches, inTime);
}

/** The last of what nobody holds that none was lent before, or else the end of what somebody else computes. */
function trialFor(state: RoundState, member: Member): (Range & { readonly of: LeaseId | null }) | undefined {
  const { microbatch } = state.options;
  const size = trialSize(state, member);
  const parts = state.unleased.map(({ from, to }) => Math.ceil((to - from) / microbatch));
  const free = parts.reduce((sum, microbatches) => sum + microbatches, 0);
  if (free === 0) return shownWith(state, member, size);
  // From the end: the others take it from the beginning.
  let skip = (state.trials * size) % free;
  for (let at = parts.length - 1; at >= 0; at--) {
    if (skip >= parts[at]) {
      skip -= parts[at];
      continue;
    }
    const { from, to } = state.unleased[at];
    const end = parts[at] - skip;
    return {
      from: from + Math.max(0, end - size) * microbatch,
      to: Math.min(to, from + end * microbatch),
      of: null,
    };
  }
  return undefined;
}

function shownWith(state: RoundState, member: Member, size: number): ReturnType<typeof trialFor> {
  for (let i = 0; i < CONSIDERED; i++) {
    const [, lease] = state.leases.drawn(((state.nextLease + i) * SPREAD) % 1) ?? [];
    if (!lease || !counts(lease) || lease.account === member.account) continue;
    const { microbatch } = state.options;
    const { from, to } = lease;
    const begin = Math.max(0, Math.ceil((to - from) / microbatch) - size) * microbatch;
    return { from: from + begin, to, of: begin === 0 ? lease.lease : null };
  }
  return undefined;
}

/**
 * The answer to a spare has come. Where nobody holds its range, or one does whose lease is of the same range, the spare
 * is a lease that counts from now on: its range goes to no other, and that one is the other of two.
 */
export function claimed(
  now: number,
  state: RoundState,
  spare: SpareLease,
): RoundChange & { readonly lease: WorkLease | SpareLease } {
  const { worker, account, from, to, of } = spare;
  const unclaimed = { state, effects: [], lease: spare };
  if (allowance(state, account, isLate(now, state)) < to - from) return unclaimed;
  const { purpose: _purpose, of: _of, ...term } = spare;
  const lent = { lent: false, doubt: state.roster.members.get(worker)?.proven ? null : spare.lease };
  const held = of === null ? undefined : state.leases.get(of);
  if (held && counts(held)) {
    const twin = held.twin === null ? undefined : state.leases.get(held.twin);
    if (twin && twin.receivedAt !== null) return unclaimed;
    const alone = twin ? cancelled(now, state, twin, "expired") : undefined;
    const lease: WorkLease = { ...term, ...lent, purpose: "backup", twin: held.lease };
    const next = withLease(alone?.state ?? state, lease);
    const paired = withLease(next, { ...held, twin: spare.lease });
    return counted(paired, lease, alone ? [alone.effect] : []);
  }
  const at = state.unleased.findIndex((range) => range.from <= from && to <= range.to);
  if (at < 0) return unclaimed;
  const range = state.unleased[at];
  const rest = [
    { from: range.from, to: from },
    { from: to, to: range.to },
  ].filter((part) => part.from < part.to);
  const unleased = [...state.unleased.slice(0, at), ...rest, ...state.unleased.slice(at + 1)];
  const lease: WorkLease = { ...term, ...lent, purpose: "work", twin: null };
  // What comes next begins behind those that are still nobody's, or each would leave a gap beside it.
  const trials = Math.max(0, state.trials - 1);
  return counted(withLease({ ...state, unleased, trials, since: state.since ?? spare.grantedAt }, lease), lease, []);
}

function counted(state: RoundState, lease: WorkLease, effects: readonly RoundEffect[]): ReturnType<typeof claimed> {
  const { account, from, to } = lease;
  return { state: withSamples(state, account, to - from), lease, effects: [...effects, { type: "claim", lease }] };
}
