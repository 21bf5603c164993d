// Who helps whom before the round is late: a lease that takes longer than its holder's speed says, or will end last, is lent to
// somebody who will end it sooner ("longest approximate time to end": Zaharia et al., "Improving MapReduce performance in
// heterogeneous environments", OSDI 2008). Looked at with the clock's ticks, not at every event.

import { speedOf, totalSpeed } from "./roster.ts";
import { allowance, type Granting, give, mayBackUp, takers } from "./round-grants.ts";
import { cancelled } from "./round-leases.ts";
import { isLate, isLive, type Lease, type RoundEffect, type RoundState } from "./round-state.ts";

/** A lease is overdue when it has taken so much longer than its holder's speed says. */
const OVERDUE = 0.25;
/** A lease is lent early to a worker that will need less than the rest of its holder's time, divided by this. */
const WORTH = 1.2;
/** Nobody who is so many times slower than the mean helps early: it would be the next to wait for. */
const SLOW_HELPER = 1.5;
/** A helper looks at so many leases, those that will end last: with ten thousand workers all would take too long. */
const CONSIDERED = 32;
/** Of a grant and its answer, in both estimates. */
const ROUND_TRIP_MS = 250;

/**
 * When the holder of a lease will probably be done; infinite where it is overdue, and nobody knows. Of a lease that is not
 * started, after the one before it. `mean` stands for an unknown speed.
 */
function expectedEnd(now: number, state: RoundState, lease: Lease, mean: number): number {
  const member = state.roster.members.get(lease.worker);
  const speed = (member && speedOf(member, state.roster.kind)) ?? mean;
  const workMs = (1000 * (lease.to - lease.from)) / speed;
  if (lease.startedAt !== null) {
    const end = lease.startedAt + workMs;
    return now > end + OVERDUE * workMs + ROUND_TRIP_MS ? Number.POSITIVE_INFINITY : end;
  }
  const before = member && state.leases.get(member.leases[0]);
  return workMs + (before && before.lease !== lease.lease ? expectedEnd(now, state, before, mean) : now);
}

/** The state in which of two overdue holders of a range the first has lost it, so that a third may help. */
function withoutIdlers(now: number, granting: Granting, mean: number): void {
  const overdue = (lease: Lease) => expectedEnd(now, granting.state, lease, mean) === Number.POSITIVE_INFINITY;
  for (const { lease } of granting.state.leases.values()) {
    const first = granting.state.leases.get(lease);
    if (!first || !("twin" in first) || first.twin === null || first.receivedAt !== null) continue;
    const second = granting.state.leases.get(first.twin);
    if (!second || second.receivedAt !== null || second.grantedAt < first.grantedAt) continue;
    if (!overdue(first) || !overdue(second)) continue;
    const { state, effect } = cancelled(now, granting.state, first, "expired");
    granting.state = state;
    granting.effects.push(effect);
  }
}

/**
 * Lends what is overdue to fast workers while there is work for all, as the lease that they go on with where they hold one,
 * so that at the end nobody waits for a large one; and to idle workers, when all is leased, what will end last.
 */
export function grantEarly(now: number, before: RoundState): { state: RoundState; effects: readonly RoundEffect[] } {
  const granting: Granting = { state: before, effects: [] };
  const { options } = before;
  if (!isLive(before) || options.pieces === 1) return granting;
  const { mean } = totalSpeed(before.roster);
  withoutIdlers(now, granting, mean);
  const { state } = granting;
  const { roster } = state;
  const allLeased = state.unleased.length === 0;
  const open = [...state.leases.values()]
    .filter((lease) => mayBackUp(state, lease, true))
    .map((lease) => ({ lease, end: expectedEnd(now, state, lease, mean) }))
    .filter(({ end }) => allLeased || end === Number.POSITIVE_INFINITY)
    .sort((a, b) => Number(b.end > a.end) - Number(b.end < a.end) || a.lease.lease - b.lease.lease);
  if (open.length === 0) {
    granting.state = { ...state, overdue: [] };
    return granting;
  }
  const late = isLate(now, state);
  const helpers = takers(state)
    .map(([worker, member]) => ({ worker, member, speed: speedOf(member, roster.kind) ?? 0 }))
    .filter(({ member, speed }) => {
      return member.leases.length === 0 ? speed * SLOW_HELPER >= mean : speed >= mean;
    })
    .sort((a, b) => a.member.leases.length - b.member.leases.length || b.speed - a.speed);
  for (const { worker, member, speed } of helpers) {
    const most = Math.min(member.maxMicrobatches * options.microbatch, allowance(granting.state, member.account, late));
    const index = open.slice(0, CONSIDERED).findIndex(({ lease, end }) => {
      const samples = lease.to - lease.from;
      if (lease.account === member.account || samples > most) return false;
      if (end === Number.POSITIVE_INFINITY) return true;
      return member.leases.length === 0 && now + ROUND_TRIP_MS + (1000 * WORTH * samples) / speed < end;
    });
    if (index < 0) continue;
    const [{ lease }] = open.splice(index, 1);
    give(now, granting, { worker, from: lease.from, to: lease.to, purpose: { kind: "backup", of: lease.lease } });
  }
  const overdue = open.filter(({ end }) => end === Number.POSITIVE_INFINITY).map(({ lease }) => lease.lease);
  granting.state = { ...granting.state, overdue };
  return granting;
}
