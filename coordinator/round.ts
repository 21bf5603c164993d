// One round, training or evaluation, as a pure function of (now, state, event), which returns the effects and the reason too
// (torchft's quorum is built so): clock, sockets and sums are elsewhere. The rules are those of SPEC.md, L and C.

import { type LeaseId, leaseId, type WorkerId } from "../shared/ids.ts";
import type { Range } from "../shared/intervals.ts";
import { expired, leaseMicrobatches, measured, type Speeds } from "./lease-sizing.ts";
import { roundReason } from "./round-reason.ts";
import {
  beforeRounds,
  contributionVerdict,
  type Lease,
  type RoundEffect,
  type RoundEvent,
  type RoundMembers,
  type RoundOptions,
  type RoundState,
  type WorkerActivity,
} from "./round-state.ts";

export interface Decision {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
  /** What the round waits for, in words. */
  readonly reason: string;
}

/** Reports of not finite gradients in one round before the run is called diverged. */
export const DIVERGED_REPORTS = 3;

/** Opens a round over `range` and leases it to those who wait already. */
export function openRound(
  now: number,
  round: { readonly round: number; readonly range: Range; readonly options: RoundOptions; readonly speeds: Speeds },
  members: RoundMembers,
): Decision {
  const { workers, nextLease } = members;
  const empty = beforeRounds();
  const unleased = round.range.from < round.range.to ? [round.range] : [];
  return settle(now, { ...empty, ...round, workers, nextLease, phase: "open", unleased }, []);
}

function asking(state: RoundState, worker: WorkerId, activity: WorkerActivity): RoundState {
  const workers = new Map(state.workers);
  workers.delete(worker);
  return { ...state, workers: workers.set(worker, activity) };
}

function withoutLease(state: RoundState, lease: LeaseId): RoundState {
  const leases = new Map(state.leases);
  leases.delete(lease);
  return { ...state, leases };
}

function requeued(state: RoundState, lease: Lease): RoundState {
  const { from, to } = lease;
  return { ...withoutLease(state, lease.lease), unleased: [{ from, to }, ...state.unleased] };
}

function leaseOf(state: RoundState, worker: WorkerId): Lease | undefined {
  if (state.workers.get(worker) !== "busy") return undefined;
  for (const lease of state.leases.values()) if (lease.worker === worker) return lease;
  return undefined;
}

/** What follows from an event. Never throws: an event that does not fit changes nothing. */
export function decide(now: number, state: RoundState, event: RoundEvent): Decision {
  switch (event.type) {
    case "worker-joined":
      return settle(now, asking(state, event.worker, "joined"), []);
    case "worker-ready": {
      const activity = state.workers.get(event.worker);
      if (activity === "busy" || activity === "ready") return settle(now, state, []);
      const decision = settle(now, asking(state, event.worker, "ready"), []);
      if (decision.state.workers.get(event.worker) === "busy") return decision;
      return { ...decision, effects: [...decision.effects, { type: "wait", worker: event.worker }] };
    }
    case "worker-paused":
    case "worker-left":
      return departed(now, state, event.worker, event.type);
    case "contribution":
      return contributed(now, state, event.worker, event.lease, event.samples);
    case "contribution-refused": {
      const { worker, lease, code, message } = event;
      const live = state.leases.get(lease);
      const reject: RoundEffect = { type: "reject", worker, lease, code, message };
      if (live?.worker !== worker) return settle(now, state, [reject]);
      const next = asking(requeued(state, live), worker, "expected");
      return doubted(
        now,
        next,
        [reject, { type: "requeue", cause: "refused", ...live }],
        worker,
        code === "GRADIENT_NOT_FINITE",
      );
    }
    case "lease-returned": {
      const live = state.leases.get(event.lease);
      if (live?.worker !== event.worker) return settle(now, state, []);
      const next = asking(requeued(state, live), event.worker, "joined");
      return doubted(now, next, [{ type: "requeue", cause: "returned", ...live }], event.worker, event.notFinite);
    }
    case "tick":
      return overdue(now, state);
    case "applied":
      return settle(now, state.phase === "sealed" ? { ...state, phase: "applied" } : state, []);
    case "committed":
      return settle(now, state.phase === "applied" ? { ...state, phase: "committed" } : state, []);
    case "dropped": {
      let next = state;
      for (const lease of state.leases.values()) next = asking(next, lease.worker, "expected");
      return settle(now, { ...next, phase: "committed", unleased: [], leases: new Map() }, []);
    }
    default:
      return event satisfies never;
  }
}

function departed(now: number, state: RoundState, worker: WorkerId, type: "worker-left" | "worker-paused"): Decision {
  const lease = leaseOf(state, worker);
  const freed = lease ? requeued(state, lease) : state;
  const cause = type === "worker-left" ? "left" : "returned";
  const effects: RoundEffect[] = lease ? [{ type: "requeue", cause, ...lease }] : [];
  if (type === "worker-paused") return settle(now, asking(freed, worker, "joined"), effects);
  const workers = new Map(freed.workers);
  workers.delete(worker);
  const speeds = new Map(freed.speeds);
  speeds.delete(worker);
  return settle(now, { ...freed, workers, speeds }, effects);
}

function contributed(now: number, state: RoundState, worker: WorkerId, lease: LeaseId, samples: number): Decision {
  const live = contributionVerdict(state, worker, lease, samples);
  if ("code" in live) {
    return decide(now, state, { type: "contribution-refused", worker, lease, code: live.code, message: live.message });
  }
  const collected = state.collected.add({ from: live.from, to: live.to });
  const speeds = measured(state.speeds, worker, samples, now - live.grantedAt);
  const next = { ...asking(withoutLease(state, lease), worker, "expected"), collected, speeds };
  const accept: RoundEffect = { type: "accept", worker, lease, samples };
  if (collected.size < state.range.to - state.range.from) return settle(now, next, [accept]);
  return settle(now, { ...next, phase: "sealed" }, [accept, { type: "seal", ranges: collected.ranges }]);
}

function overdue(now: number, state: RoundState): Decision {
  let next = state;
  const effects: RoundEffect[] = [];
  for (const lease of state.leases.values()) {
    if (lease.expires > now) continue;
    const { worker, from, to } = lease;
    const speeds = expired(next.speeds, worker, to - from, state.options.timeoutMs);
    next = { ...asking(requeued(next, lease), worker, "joined"), speeds };
    effects.push({ type: "requeue", cause: "expired", ...lease });
  }
  return settle(now, next, effects);
}

/** Ends the run where all who take part agree that the numbers are lost: nobody could ever answer the range. */
function doubted(
  now: number,
  state: RoundState,
  effects: readonly RoundEffect[],
  worker: WorkerId,
  notFinite: boolean,
): Decision {
  if (!notFinite) return settle(now, state, effects);
  const reports = state.notFinite.reports + 1;
  const workers = new Set(state.notFinite.workers).add(worker);
  const next = { ...state, notFinite: { reports, workers } };
  const agreed = [...state.workers].every(([id, activity]) => activity === "joined" || workers.has(id));
  if (reports < DIVERGED_REPORTS || !agreed) return settle(now, next, effects);
  return settle(now, next, [...effects, { type: "diverged", reports }]);
}

/** Leases what nobody holds to those who wait, in the order in which they asked. */
function settle(now: number, state: RoundState, effects: readonly RoundEffect[]): Decision {
  const { options } = state;
  const microbatches = ({ from, to }: Range) => Math.ceil((to - from) / options.microbatch);
  const active = [...state.workers].filter(([, activity]) => activity !== "joined").map(([id]) => id);
  const workers = new Map(state.workers);
  const leases = new Map(state.leases);
  const unleased = [...state.unleased];
  const grants: RoundEffect[] = [];
  let { nextLease } = state;
  for (const [worker, activity] of state.workers) {
    const head = unleased[0];
    if (!head) break;
    if (activity !== "ready") continue;
    const size = leaseMicrobatches({
      worker,
      workers: active,
      speeds: state.speeds,
      unleased: unleased.reduce((sum, range) => sum + microbatches(range), 0),
      leased: [...leases.values()].reduce((sum, lease) => sum + microbatches(lease), 0),
      ...options,
    });
    const to = Math.min(head.to, head.from + size * options.microbatch);
    if (to === head.to) unleased.shift();
    else unleased[0] = { from: to, to: head.to };
    const lease = leaseId(nextLease++);
    const granted: Lease = { lease, worker, from: head.from, to, grantedAt: now, expires: now + options.timeoutMs };
    leases.set(lease, granted);
    workers.set(worker, "busy");
    grants.push({ type: "grant", ...granted });
  }
  const phase = state.phase === "open" && grants.length > 0 ? "collecting" : state.phase;
  const next: RoundState = { ...state, phase, workers, leases, unleased, nextLease };
  return { state: next, effects: [...effects, ...grants], reason: roundReason(now, next) };
}
