// Looks at the clock: which leases expired, which take longer than their holder's speed says, and who can help with them.

import type { WorkerId } from "../../shared/base/ids.ts";
import { cancelled, lapsed, withOverdue } from "./leases.ts";
import { expectedEnd, grantEarly, ROUND_TRIP_MS } from "./lending.ts";
import { totalSpeed, updated } from "./roster.ts";
import { isLive, type Lease, type RoundChange, type RoundEffect, type RoundState } from "./state.ts";

/** A lease is overdue when it has taken so much longer than its holder's speed says. */
const OVERDUE = 0.25;

/** Whether a lease that is started has taken too long; `mean` stands for an unknown speed. */
function tooLong(now: number, lease: Lease, mean: number): boolean {
  if (lease.startedAt === null || lease.receivedAt !== null || lease.overdue) return false;
  const end = expectedEnd(now, lease, mean);
  return now > end + OVERDUE * (end - lease.startedAt) + ROUND_TRIP_MS;
}

/** Of two holders of a range of whom nobody knows when they will be done, the first loses it, so that a third may help. */
function withoutIdler(now: number, state: RoundState, lease: Lease): RoundChange {
  const twin = "twin" in lease && lease.twin !== null ? state.leases.get(lease.twin) : undefined;
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
    if (!isLive(state) || state.options.pieces === 1) continue;
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

/** Ends the leases that expired, and what their workers would have gone on with, and has others help with what is overdue. */
export function looked(now: number, before: RoundState): RoundChange {
  const late = new Set<WorkerId>();
  const slow = new Set<WorkerId>();
  const { mean } = totalSpeed(before.roster.active);
  const inPieces = before.options.pieces > 1;
  before.leases.forEach((lease) => {
    if (lease.expires <= now && lease.receivedAt === null) late.add(lease.worker);
    else if (inPieces && tooLong(now, lease, mean)) slow.add(lease.worker);
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
