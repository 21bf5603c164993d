// One round, training or evaluation, as a pure function of (now, state, event), which returns the effects and the
// reason too (torchft's quorum is built so): clock, sockets and sums are elsewhere. The rules are those of SPEC.md, L
// and C.

import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import { AuditCopies } from "./audit-copies.ts";
import { comparisonDue, declining, reassigned, withCopy } from "./audits.ts";
import { mayEndEarly } from "./deadline.ts";
import { hasDiverged, ownReports, withReport, witnessesOf } from "./divergence.ts";
import { adopted, allLeasesOf, extended, narrowed, split, stated, trimmed } from "./gateways.ts";
import { type CopyWanted, counts } from "./lease.ts";
import { allCancelled, answered, cancelled, lapsed, received, shownLate, withOverdue } from "./leases.ts";
import { suspended, ticked } from "./lending.ts";
import { grantAll, type Occasion } from "./occasion.ts";
import { roundReason } from "./reason.ts";
import { atRound, type Roster, updated, withMember, withNewcomer, withoutTrace, withSpread } from "./roster.ts";
import { measured } from "./sizing.ts";
import { claimed } from "./spares.ts";
import {
  beforeRounds,
  contributionVerdict,
  isLate,
  isLive,
  type RequeueCause,
  type RoundChange,
  type RoundEffect,
  type RoundEvent,
  type RoundMembers,
  type RoundOptions,
  type RoundState,
} from "./state.ts";

export interface Decision {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
  /** What the round waits for, in words. */
  readonly reason: string;
}

export interface RoundOpening {
  readonly round: number;
  readonly phase: string;
  /** In the order in which they are leased; disjoint. */
  readonly ranges: readonly Range[];
  readonly options: RoundOptions;
}

const anyEvent: Occasion = { kind: "event" };
/** Nobody is leased work for it: what follows may be that somebody rests. */
const copiesAlone: Occasion = { kind: "copy", worker: undefined };
const asker = (worker: WorkerId): Occasion => ({ kind: "asker", worker });

/** Opens a round over ranges and leases them to those who wait already. */
export function openRound(now: number, opening: RoundOpening, before: RoundMembers): Decision {
  const { round, phase, options } = opening;
  const unleased = opening.ranges.filter(({ from, to }) => from < to);
  const wanted = unleased.reduce((sum, { from, to }) => sum + to - from, 0);
  const { nextLease } = before;
  const witnesses = witnessesOf(before);
  const open = { ...beforeRounds(), round, options, wanted, unleased, nextLease, witnesses, phase: "open" } as const;
  return settle(now, { ...open, roster: atRound(before.roster, phase, round) }, [], { kind: "event", begins: true });
}

/** What follows from an event. Never throws: an event that does not fit changes nothing. */
export function decide(now: number, state: RoundState, event: RoundEvent): Decision {
  switch (event.type) {
    case "worker-joined": {
      const { worker } = event;
      if (state.roster.members.get(worker)) return settle(now, state, []);
      return settle(now, withRoster(state, withNewcomer(state.roster, worker, event)), []);
    }
    case "worker-ready":
      return asked(now, state, event);
    case "worker-paused":
      return departed(now, state, event.worker, "returned");
    case "worker-drained": {
      const change = { ticket: null, resting: true, expected: null };
      return settle(now, withRoster(state, updated(state.roster, event.worker, change)), []);
    }
    case "account-rests":
      return rested(now, state, event.account);
    case "worker-rested": {
      const asks = state.roster.members.get(event.worker)?.ticket != null;
      return settle(now, asks ? withRoster(state, updated(state.roster, event.worker, { resting: false })) : state, []);
    }
    case "worker-left":
      return departed(now, state, event.worker, "left");
    case "worker-suspended":
      return after(now, suspended(now, state, event.worker));
    case "worker-resumed": {
      const known = withOverdue(state, event.worker, false);
      return settle(now, withRoster(known, updated(known.roster, event.worker, { suspended: false })), []);
    }
    case "contribution-received": {
      const live = state.leases.get(event.lease);
      if (live?.worker !== event.worker || live.receivedAt !== null) {
        return settle(now, state, [], live?.worker === event.worker ? asker(event.worker) : anyEvent);
      }
      const came = live.purpose === "spare" ? claimed(now, state, live) : { state, lease: live, effects: [] };
      return settle(now, received(now, came.state, came.lease), came.effects, asker(event.worker));
    }
    case "contribution":
      return contributed(now, state, event.worker, event.lease, event.samples);
    case "contribution-refused": {
      const { worker, lease, code, message } = event;
      const reject: RoundEffect = { type: "reject", worker, lease, code, message };
      const known = code === "CONTRIBUTION_STALE" ? shownLate(state, worker, lease) : state;
      return spoiled(now, known, { worker, lease, cause: "refused", notFinite: code === "GRADIENT_NOT_FINITE" }, [
        reject,
      ]);
    }
    case "contribution-withdrawn":
      return withdrawn(now, state, event);
    case "lease-returned":
      return spoiled(now, state, { ...event, cause: "returned" }, []);
    case "copy-wanted":
      return compared(now, state, event.copy);
    case "copy-away":
      return settle(now, isLive(state) ? { ...state, away: [...state.away, event.copy] } : state, [], copiesAlone);
    case "copy-over":
      return settle(now, { ...state, away: state.away.filter((copy) => copy !== event.copy) }, [], copiesAlone);
    case "extended":
      return settle(now, extended(state, event), []);
    case "narrowed":
      return settle(now, narrowed(now, state, event.ranges), []);
    case "closed":
      return settle(now, { ...state, options: { ...state.options, growing: false }, closedSince: now }, []);
    case "lease-trimmed": {
      const change = trimmed(now, state, event);
      if (change) return after(now, change);
      const { worker, lease } = event;
      return spoiled(now, state, { worker, lease, cause: "returned", notFinite: false }, []);
    }
    case "lease-split":
      return after(now, split(now, state, event));
    case "adopted":
      return after(now, adopted(now, state, event.worker, event.ranges));
    case "stated":
      return settle(now, stated(state, event.worker, event), []);
    case "account-spread":
      return settle(now, withRoster(state, withSpread(state.roster, event.account, event.gateways)), []);
    case "tick": {
      const { state: able, effects } = declining(reassigned(now, state));
      const change = ticked(now, able);
      return after(now, { ...change, effects: [...effects, ...change.effects] }, { kind: "all" });
    }
    case "go-on":
      return settle(now, state.grantsPending ? { ...state, grantsPending: false } : state, [], {
        kind: "event",
        begins: true,
      });
    case "applied":
      return settle(now, state.phase === "sealed" ? { ...state, phase: "applied" } : state, []);
    case "committed":
      return settle(now, state.phase === "applied" ? { ...state, phase: "committed" } : state, []);
    case "dropped": {
      const { state: next, effects } = allCancelled(now, state, "stopped");
      return settle(now, { ...next, phase: "committed", unleased: [], copies: AuditCopies.of(), away: [] }, effects);
    }
    default:
      return event satisfies never;
  }
}

/** A copy is wanted: the drawn account may be waiting. */
function compared(now: number, before: RoundState, copy: CopyWanted): Decision {
  if (!isLive(before)) return settle(now, before, []);
  const drawn = withCopy(now, before, copy);
  // Of all copies there are tens of thousands.
  const { state, effects } = copy.order === undefined ? { ...drawn, effects: [] } : declining(drawn.state);
  return settle(now, state, effects, { kind: "copy", worker: drawn.worker });
}

function withRoster(state: RoundState, roster: Roster): RoundState {
  return { ...state, roster };
}

/** A worker asks for a lease. One that holds some asks `ahead`; one that asked already is not asked after again. */
function asked(now: number, state: RoundState, event: Extract<RoundEvent, { type: "worker-ready" }>): Decision {
  const { worker, ahead, maxMicrobatches } = event;
  const roster = state.roster.members.get(worker) ? state.roster : withNewcomer(state.roster, worker);
  const known = roster.members.get(worker);
  if (!known) return settle(now, state, []);
  const before = { ...known, resting: false, heard: true };
  const member = maxMicrobatches === undefined ? before : { ...before, maxMicrobatches };
  if (member.ticket !== null || (member.leases.length > 0 && !ahead)) {
    return settle(now, known.resting ? withRoster(state, withMember(roster, worker, before)) : state, []);
  }
  const { nextTicket } = roster;
  const asking = withMember({ ...roster, nextTicket: nextTicket + 1 }, worker, { ...member, ticket: nextTicket });
  const decision = settle(now, withRoster(state, asking), [], asker(worker));
  if (decision.state.roster.members.get(worker)?.ticket == null) return decision;
  return result(now, decision.state, [...decision.effects, { type: "wait", worker }]);
}

/** An account rests: what its workers compute goes to others; who had asked for a lease gets one when it has rested. */
function rested(now: number, state: RoundState, account: string): Decision {
  const effects: RoundEffect[] = [];
  let next = state;
  for (const [worker, member] of state.roster.members) {
    if (member.account !== account) continue;
    for (const id of [...member.leases].reverse()) {
      const lease = next.leases.get(id);
      if (!lease || lease.receivedAt !== null) continue;
      const ending = lapsed(now, next, lease, "rests");
      next = ending.state;
      effects.push(...ending.effects, { type: "cancel", reason: "rests", lease });
    }
    next = withRoster(next, updated(next.roster, worker, { resting: true, expected: null }));
  }
  return settle(now, next, effects);
}

/** A worker that pauses or leaves gives up what it holds; a contribution that is being checked is not its any more. */
function departed(now: number, state: RoundState, worker: WorkerId, cause: "left" | "returned"): Decision {
  const member = state.roster.members.get(worker);
  if (!member) return settle(now, state, []);
  let next = withRoster(state, updated(state.roster, worker, { ticket: null }));
  const effects: RoundEffect[] = [];
  // What a gateway has covered is lost with it; what a worker has sent is here.
  const held = member.gateway ? allLeasesOf(state, worker).map(({ lease }) => lease) : undefined;
  // The newest first, so that the queue has them in order.
  for (const id of held ?? [...member.leases].reverse()) {
    const lease = next.leases.get(id);
    if (!lease) continue;
    const ending = lapsed(now, next, lease, cause);
    next = ending.state;
    effects.push(...ending.effects);
  }
  const roster =
    cause === "left"
      ? withoutTrace(withMember(next.roster, worker, undefined), member.account)
      : updated(next.roster, worker, { resting: true, heard: true, expected: null });
  return settle(now, withRoster(next, roster), effects);
}

function contributed(now: number, state: RoundState, worker: WorkerId, lease: LeaseId, samples: number): Decision {
  const live = contributionVerdict(state, worker, lease, samples);
  if ("code" in live) {
    const refusal = { type: "contribution-refused", worker, lease, code: live.code, message: live.message } as const;
    return decide(now, state, refusal);
  }
  const { startedAt, grantedAt } = live;
  const arrived = live.receivedAt ?? now;
  let next = answered(now, state, live, (speed) => {
    // Without an average to compare with, from the grant: no lease was begun before.
    const from = speed.samplesPerSecond === undefined || speed.bound ? grantedAt : (startedAt ?? grantedAt);
    return measured(speed, samples, arrived - from);
  });
  const effects: RoundEffect[] = [
    { type: "accept", lease: live, samples, offsetMs: arrived - (state.since ?? grantedAt) },
  ];
  if (!counts(live)) return settle(now, next, effects, asker(worker));
  const collected = next.collected.add({ from: live.from, to: live.to });
  next = { ...next, collected, answeredAt: arrived, wholeSince: collected.size >= state.wanted ? now : null };
  const twin = live.twin === null ? undefined : next.leases.get(live.twin);
  if (!twin) return settle(now, next, effects, asker(worker));
  const late = cancelled(now, next, twin, "answered");
  return settle(now, late.state, [...effects, late.effect], asker(worker));
}

interface Spoiling {
  readonly worker: WorkerId;
  readonly lease: LeaseId;
  readonly cause: RequeueCause;
  /** The worker says, or its contribution shows, that the gradient is not finite. */
  readonly notFinite: boolean;
}

/** A lease that its own worker spoiled or gave back. */
function spoiled(
  now: number,
  state: RoundState,
  { worker, lease, cause, notFinite }: Spoiling,
  before: readonly RoundEffect[],
): Decision {
  const live = state.leases.get(lease);
  if (live?.worker !== worker) return settle(now, state, before);
  const { state: next, effects } = lapsed(now, state, live, cause, notFinite);
  const all = [...before, ...effects];
  return notFinite ? doubted(now, next, all, worker) : settle(now, next, all);
}

/** Ends the run where those who can tell agree that the numbers are lost. */
function doubted(now: number, state: RoundState, effects: readonly RoundEffect[], worker: WorkerId): Decision {
  const next = withReport(now, state, worker);
  if (!hasDiverged(now, next)) return settle(now, next, effects);
  // The last of its decisions: nothing is granted in a round that is over.
  return result(now, next, [...effects, { type: "diverged", reports: next.notFinite.reports, own: ownReports(next) }]);
}

/** Takes back samples that were collected, unless they are sealed already. */
function withdrawn(
  now: number,
  state: RoundState,
  { account, from, to, quiet = false }: Range & { readonly account: string; readonly quiet?: boolean },
): Decision {
  const occasion = quiet ? copiesAlone : anyEvent;
  const { collected, samplesByAccount } = state;
  const parts = collected.overlap({ from, to });
  const whole = parts.length === 1 && parts[0].from === from && parts[0].to === to;
  if (!isLive(state) || !whole || from === to) return settle(now, state, [], occasion);
  const less = samplesByAccount.set(account, Math.max(0, (samplesByAccount.get(account) ?? 0) - (to - from)));
  return settle(
    now,
    {
      ...state,
      samplesByAccount: less,
      collected: collected.remove({ from, to }),
      wholeSince: null,
      unleased: [{ from, to }, ...state.unleased],
    },
    [],
    occasion,
  );
}

function after(now: number, { state, effects }: RoundChange, occasion: Occasion = anyEvent): Decision {
  return settle(now, state, effects, occasion);
}

/** Seals the round where that is due, or else grants what can be granted. */
function settle(
  now: number,
  state: RoundState,
  effects: readonly RoundEffect[],
  occasion: Occasion = anyEvent,
): Decision {
  if (!sealDue(now, state)) {
    const granting = grantAll(now, state, occasion);
    return result(now, granting.state, [...effects, ...granting.effects]);
  }
  const { ranges } = state.collected;
  const { state: next, effects: cancels } = allCancelled(now, state, "sealed");
  const sealed: RoundState = { ...next, phase: "sealed", unleased: [], copies: AuditCopies.of(), away: [] };
  return result(now, sealed, [...effects, ...cancels, { type: "seal", ranges }]);
}

function result(now: number, state: RoundState, effects: readonly RoundEffect[]): Decision {
  return {
    state,
    effects,
    // Words cost more than the decision with ten thousand workers, and are read twice a second.
    get reason() {
      return roundReason(now, state);
    },
  };
}

/**
 * Whether the round ends now (SPEC.md, L11, L25, L26): with its last sample or, late, with what is there. Contributions
 * that are being checked are always waited for.
 */
function sealDue(now: number, state: RoundState): boolean {
  const { collected, wanted, options, checking } = state;
  if (!isLive(state) || checking > 0 || options.growing) return false;
  // What a gateway has begun is in its sum, of which nothing can be left out.
  if (state.roster.gateways.length > 0 && state.leases.some(({ gateway = false }) => gateway)) return false;
  if (collected.size >= wanted) return !comparisonDue(now, state);
  if (options.seal === "complete" || !isLate(now, state) || !mayEndEarly(collected.size, wanted)) return false;
  return !comparisonDue(now, state);
}
