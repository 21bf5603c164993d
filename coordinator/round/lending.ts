// Who computes what somebody else holds before the round is late: at each tick, expired leases end, leases that take
// longer than their holder's speed says become overdue, and what is overdue or will end last is lent to somebody who
// will end it sooner ("longest approximate time to end": Zaharia et al., "Improving MapReduce performance in
// heterogeneous environments", OSDI 2008).

import type { WorkerId } from "../../shared/base/ids.ts";
import { type Granting, give, granting, inTime, mayHelp, mostLent } from "./grants.ts";
import { counts, type Lease } from "./lease.ts";
import { cancelled, lapsed, mayBackUp, OVERDUE, ROUND_TRIP_MS, withOverdue } from "./leases.ts";
import { type Member, speedOf, totalSpeed, updated, workforce } from "./roster.ts";
import { isLive, lendingMs, type RoundChange, type RoundEffect, type RoundState } from "./state.ts";

/** A lease is lent early to a worker that will need less than the rest of its holder's time, divided by this. */
const WORTH = 1.2;
/** Nobody who is so many times slower than the mean helps early: it would be the next to wait for. */
const SLOW_HELPER = 1.5;
/** Leases that a helper may be refused before it is of no use: with ten thousand workers all would take too long. */
const CONSIDERED = 32;
/** Leases lent at one tick; those that will end last come first. Others have their turn before the next tick. */
export const LENT_AT_ONCE = 64;
/** Idle workers for each lease that is out, from which on all are lent. */
const PLENTY = 4;
/** The expected end of an overdue lease: nobody knows it. */
const UNKNOWN_END = Number.POSITIVE_INFINITY;

/**
 * When the holder of a lease will probably be done; infinite where nobody knows. `mean` stands for an unknown speed.
 */
export function expectedEnd(now: number, lease: Lease, mean: number): number {
  if (lease.overdue) return UNKNOWN_END;
  return lease.endsAt ?? (lease.startedAt ?? now) + (1000 * (lease.to - lease.from)) / mean;
}

interface Helper {
  readonly worker: WorkerId;
  readonly member: Member;
  readonly speed: number;
}

/** Those of a line who are fast enough, the fastest first. */
function helpers({ roster }: RoundState, line: Iterable<readonly [number, WorkerId]>, least: number): Helper[] {
  const found: Helper[] = [];
  for (const [, worker] of line) {
    const member = roster.members.get(worker);
    const speed = member && speedOf(member, roster.phase);
    if (member && !member.gateway && speed !== undefined && speed >= least) found.push({ worker, member, speed });
  }
  return found.sort((a, b) => b.speed - a.speed);
}

interface Candidate {
  readonly lease: Lease;
  /** Of two that share the range, the one that will end last: it makes room for the helper. */
  readonly loser: Lease | undefined;
  /** The latest is lent first. */
  readonly end: number;
  /** Only to somebody who will end it before. */
  readonly before: number;
}

/**
 * A range that is computed already, once or twice, and may be lent; nothing where a later tick will find it, or nobody
 * may help.
 */
function candidate(now: number, state: RoundState, lease: Lease, mean: number): Candidate | undefined {
  const end = expectedEnd(now, lease, mean);
  if (mayBackUp(lease, true)) return lease.overdue ? undefined : { lease, loser: undefined, end, before: end };
  const twin = counts(lease) && lease.twin !== null ? state.leases.get(lease.twin) : undefined;
  if (!twin || lease.lease > twin.lease || lease.receivedAt !== null || twin.receivedAt !== null) return undefined;
  const other = expectedEnd(now, twin, mean);
  return other < end
    ? { lease: twin, loser: lease, end: other, before: other }
    : { lease, loser: twin, end, before: end };
}

/**
 * What will end last is the last; of those of which nobody knows the end the largest, as the fastest helper has the
 * first.
 */
function byUrgency(a: Candidate, b: Candidate): number {
  if (a.end !== b.end) return a.end - b.end;
  return a.lease.to - a.lease.from - (b.lease.to - b.lease.from) || b.lease.lease - a.lease.lease;
}

/**
 * What may be lent, the most urgent last: that of which nobody knows the end and, where all is leased, what will end
 * last. Once no more is out than workers are idle, what is past its expected end is as good as overdue: a copy costs
 * nobody anything then. With many times as many idle all that one alone computes is lent: among thousands of holders
 * one is always stalled, or slower than it was.
 */
function candidates(now: number, state: RoundState, mean: number): Candidate[] {
  const open: Candidate[] = [];
  for (const [, id] of state.overdue) {
    const lease = state.leases.get(id);
    if (lease) open.push({ lease, loser: undefined, end: UNKNOWN_END, before: UNKNOWN_END });
  }
  if (state.unleased.length > 0 || workforce(state.roster).idle.size === 0) return open;
  const late: Candidate[] = [];
  const { size: idle } = workforce(state.roster).idle;
  const out = state.leases.size - state.spares;
  const spare = out <= idle;
  const plenty = PLENTY * out <= idle;
  state.leases.forEach((lease) => {
    const found = candidate(now, state, lease, mean);
    if (!found) return;
    if (spare && !found.loser && found.end < now) late.push({ ...found, end: UNKNOWN_END, before: UNKNOWN_END });
    else if (plenty && !found.loser) late.push({ ...found, before: UNKNOWN_END });
    else if (found.end > now + ROUND_TRIP_MS) late.push(found);
  });
  return [...open, ...late].sort(byUrgency);
}

/**
 * Lends a helper the most urgent that it is of use for; the fastest come first, so what one would not end sooner is
 * nobody's.
 */
function lend(now: number, adding: Granting, open: Candidate[], { worker, member, speed }: Helper): void {
  const most = mostLent(now, adding.state, member);
  let skipped = 0;
  for (let index = open.length - 1; index >= 0 && skipped < CONSIDERED; index--) {
    const { lease, loser, end, before } = open[index];
    const samples = lease.to - lease.from;
    if (!mayHelp(adding.state, lease, member) || samples > most) {
      skipped++;
      continue;
    }
    if (end !== UNKNOWN_END && member.leases.length > 0) return;
    open.splice(index, 1);
    if (now + ROUND_TRIP_MS + (1000 * WORTH * samples) / speed >= before) continue;
    if (loser) {
      const { state, effect } = cancelled(now, adding.state, loser, "expired");
      adding.state = state;
      adding.effects.push(effect);
    }
    give(now, adding, { worker, from: lease.from, to: lease.to, purpose: { kind: "backup", of: lease.lease } });
    return;
  }
}

/**
 * Lends what is overdue to fast workers while there is work for all, as the lease that they go on with where they hold
 * one, so that at the end nobody waits for a large one; and to idle workers, when all is leased, what will end last.
 */
export function grantEarly(now: number, state: RoundState): RoundChange {
  const adding = granting(state, LENT_AT_ONCE);
  const { options, roster } = state;
  const crew = workforce(roster);
  if (!isLive(state) || options.pieces === 1 || crew.idle.size + crew.ahead.size === 0) return adding;
  const { mean } = totalSpeed(crew.active);
  const open = candidates(now, state, mean);
  for (const helper of open.length > 0 ? helpers(state, crew.idle, mean / SLOW_HELPER) : []) {
    if (adding.left === 0 || open.length === 0) return adding;
    lend(now, adding, open, helper);
  }
  // Who holds a lease helps only where nobody knows the end.
  if (!options.ahead) return adding;
  for (const helper of helpers(state, crew.ahead, mean)) {
    const { lease, end } = open.at(-1) ?? {};
    if (adding.left === 0 || !lease || end !== UNKNOWN_END) return adding;
    if (inTime(now, state, helper.member, lease.to - lease.from)) lend(now, adding, open, helper);
  }
  return adding;
}

/**
 * Whether a lease that is started has taken too long: for its holder's speed or, where that is unknown, for a round;
 * where leases come in pieces `mean` stands for it, too.
 */
function tooLong(now: number, lease: Lease, state: RoundState, mean: number): boolean {
  if (lease.startedAt === null || lease.receivedAt !== null || lease.overdue || lease.gateway) return false;
  if (lease.endsAt === null && now - lease.startedAt >= lendingMs(state)) return true;
  if (lease.endsAt === null && state.options.pieces === 1) return false;
  const end = expectedEnd(now, lease, mean);
  return now > end + OVERDUE * (end - lease.startedAt) + ROUND_TRIP_MS;
}

/**
 * Of two holders of a range of whom nobody knows when they will be done, the first loses it, so that a third may help.
 */
function withoutIdler(now: number, state: RoundState, lease: Lease): RoundChange {
  const twin = counts(lease) && lease.twin !== null ? state.leases.get(lease.twin) : undefined;
  if (!twin?.overdue || twin.receivedAt !== null || lease.receivedAt !== null) return { state, effects: [] };
  const { state: next, effect } = cancelled(now, state, lease.lease < twin.lease ? lease : twin, "expired");
  return { state: next, effects: [effect] };
}

/** The state in which nobody knows when these workers will be done with what they hold. */
function stalled(now: number, before: RoundState, workers: Iterable<WorkerId>): RoundChange {
  let state = before;
  const effects: RoundEffect[] = [];
  for (const worker of workers) {
    state = withOverdue(state, worker, true);
    if (!isLive(state)) continue;
    for (const id of state.roster.members.get(worker)?.leases ?? []) {
      const lease = state.leases.get(id);
      if (!lease) continue;
      const change = withoutIdler(now, state, lease);
      state = change.state;
      effects.push(...change.effects);
    }
  }
  return { state, effects };
}

/** The connection of a worker is lost: nobody knows when it will be done with what it holds. */
export function suspended(now: number, before: RoundState, worker: WorkerId): RoundChange {
  const { state, effects } = stalled(now, before, [worker]);
  return { state: { ...state, roster: updated(state.roster, worker, { suspended: true }) }, effects };
}

/**
 * Ends the leases that expired, and what their workers would have gone on with, and has others help with what is
 * overdue.
 */
export function ticked(now: number, before: RoundState): RoundChange {
  const late = new Set<WorkerId>();
  const slow = new Set<WorkerId>();
  const { mean } = totalSpeed(workforce(before.roster).active);
  before.leases.forEach((lease) => {
    if (lease.expires <= now && lease.receivedAt === null) late.add(lease.worker);
    else if (tooLong(now, lease, before, mean)) slow.add(lease.worker);
  });
  const held = [...late].flatMap((worker) => before.roster.members.get(worker)?.leases ?? []);
  let state = before;
  const effects: RoundEffect[] = [];
  for (const id of held.sort((a, b) => b - a)) {
    const lease = state.leases.get(id);
    if (!lease) continue;
    const ending = lapsed(now, state, lease, "expired");
    state = ending.state;
    effects.push(...ending.effects, { type: "cancel", reason: "expired", lease });
  }
  const stalling = stalled(now, state, slow);
  const helping = grantEarly(now, stalling.state);
  return { state: helping.state, effects: [...effects, ...stalling.effects, ...helping.effects] };
}
