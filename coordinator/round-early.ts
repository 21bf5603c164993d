// Who helps whom before the round is late: a lease that takes longer than its holder's speed says, or will end last, is lent to
// somebody who will end it sooner ("longest approximate time to end": Zaharia et al., "Improving MapReduce performance in
// heterogeneous environments", OSDI 2008). Looked at with the clock's ticks, not at every event.

import type { WorkerId } from "../shared/ids.ts";
import { mayBackUp } from "./lease-book.ts";
import { type Member, speedOf, totalSpeed } from "./roster.ts";
import { type Granting, give, granting, mostLent } from "./round-grants.ts";
import { cancelled, withOverdue } from "./round-leases.ts";
import { isLive, type Lease, type RoundEffect, type RoundState } from "./round-state.ts";

/** A lease is overdue when it has taken so much longer than its holder's speed says. */
const OVERDUE = 0.25;
/** A lease is lent early to a worker that will need less than the rest of its holder's time, divided by this. */
const WORTH = 1.2;
/** Nobody who is so many times slower than the mean helps early: it would be the next to wait for. */
const SLOW_HELPER = 1.5;
/** A helper looks at so many leases, those that will end last: with ten thousand workers all would take too long. */
const CONSIDERED = 32;
/** Leases lent at one look at the clock; those that will end last come first. */
const LENT_AT_ONCE = 256;
/** Of a grant and its answer, in both estimates. */
const ROUND_TRIP_MS = 250;

/** When the holder of a lease will probably be done; infinite where nobody knows. `mean` stands for an unknown speed. */
function expectedEnd(now: number, lease: Lease, mean: number): number {
  if (lease.overdue) return Number.POSITIVE_INFINITY;
  return lease.endsAt ?? (lease.startedAt ?? now) + (1000 * (lease.to - lease.from)) / mean;
}

/** Whether a lease that is started has taken too long. */
export function tooLong(now: number, lease: Lease, mean: number): boolean {
  if (lease.startedAt === null || lease.receivedAt !== null) return false;
  const end = expectedEnd(now, lease, mean);
  return now > end + OVERDUE * (end - lease.startedAt) + ROUND_TRIP_MS;
}

/** Of two holders of a range of whom nobody knows when they will be done, the first loses it, so that a third may help. */
function withoutIdler(now: number, state: RoundState, lease: Lease): Decided {
  const twin = "twin" in lease && lease.twin !== null ? state.leases.get(lease.twin) : undefined;
  if (!twin?.overdue || twin.receivedAt !== null || lease.receivedAt !== null) return { state, effects: [] };
  const first = lease.lease < twin.lease ? lease : twin;
  const { state: next, effect } = cancelled(now, state, first, "expired");
  return { state: next, effects: [effect] };
}

interface Decided {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
}

/** The state in which nobody knows when these workers will be done with what they hold. */
export function stalled(now: number, before: RoundState, workers: Iterable<WorkerId>): Decided {
  let state = before;
  const effects: RoundEffect[] = [];
  for (const worker of workers) {
    const held = state.roster.members.get(worker)?.leases ?? [];
    state = withOverdue(state, worker, true);
    if (!isLive(state) || state.options.pieces === 1) continue;
    for (const id of held) {
      const lease = state.leases.get(id);
      if (!lease) continue;
      const decided = withoutIdler(now, state, lease);
      state = decided.state;
      effects.push(...decided.effects);
    }
  }
  return { state, effects };
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
    const speed = member && speedOf(member, roster.kind);
    if (member && speed !== undefined && speed >= least) found.push({ worker, member, speed });
  }
  return found.sort((a, b) => b.speed - a.speed);
}

interface Candidate {
  readonly lease: Lease;
  readonly end: number;
}

/** What may be lent, that of which nobody knows the end first and then, where all is leased, what will end last. */
function candidates(now: number, state: RoundState, mean: number): Candidate[] {
  const open: Candidate[] = [];
  for (const [, id] of state.overdue) {
    const lease = state.leases.get(id);
    if (lease) open.push({ lease, end: Number.POSITIVE_INFINITY });
  }
  if (state.unleased.length > 0 || state.roster.idle.size === 0) return open;
  const late: Candidate[] = [];
  state.leases.forEach((lease) => {
    if (lease.overdue || !mayBackUp(lease, true)) return;
    const end = expectedEnd(now, lease, mean);
    if (end > now + ROUND_TRIP_MS) late.push({ lease, end });
  });
  return [...open, ...late.sort((a, b) => b.end - a.end || a.lease.lease - b.lease.lease)];
}

function lend(now: number, adding: Granting, open: Candidate[], { worker, member, speed }: Helper): void {
  const most = mostLent(now, adding.state, member);
  const index = open.slice(0, CONSIDERED).findIndex(({ lease, end }) => {
    const samples = lease.to - lease.from;
    if (lease.account === member.account || samples > most) return false;
    if (end === Number.POSITIVE_INFINITY) return true;
    return member.leases.length === 0 && now + ROUND_TRIP_MS + (1000 * WORTH * samples) / speed < end;
  });
  if (index < 0) return;
  const [{ lease }] = open.splice(index, 1);
  give(now, adding, { worker, from: lease.from, to: lease.to, purpose: { kind: "backup", of: lease.lease } });
}

/**
 * Lends what is overdue to fast workers while there is work for all, as the lease that they go on with where they hold one,
 * so that at the end nobody waits for a large one; and to idle workers, when all is leased, what will end last.
 */
export function grantEarly(now: number, state: RoundState): Decided {
  const adding = granting(state, LENT_AT_ONCE);
  const { options, roster } = state;
  if (!isLive(state) || options.pieces === 1 || roster.idle.size + roster.ahead.size === 0) return adding;
  const { mean } = totalSpeed(roster.active);
  const open = candidates(now, state, mean);
  for (const helper of open.length > 0 ? helpers(state, roster.idle, mean / SLOW_HELPER) : []) {
    if (adding.left === 0 || open.length === 0) return adding;
    lend(now, adding, open, helper);
  }
  // Who holds a lease helps only where nobody knows the end.
  if (open[0]?.end !== Number.POSITIVE_INFINITY || !options.ahead) return adding;
  for (const helper of helpers(state, roster.ahead, mean)) {
    if (adding.left === 0 || open[0]?.end !== Number.POSITIVE_INFINITY) return adding;
    lend(now, adding, open, helper);
  }
  return adding;
}
