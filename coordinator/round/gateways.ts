// Rounds in two storeys. To the leader a gateway is a worker with room for many leases: it says when one is covered,
// and its sum comes later, for all of them at once. To its volunteers the gateway is a coordinator, whose round grows
// with each lease that it is given and ends when its sum is wanted.

import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import { mayEndEarly } from "./deadline.ts";
import { counts, type Lease } from "./lease.ts";
import { granted, withLease, withSamples } from "./leases.ts";
import { updated } from "./roster.ts";
import { isLate, isLive, type RoundChange, type RoundEffect, type RoundEvent, type RoundState } from "./state.ts";

const sizeOf = (ranges: readonly Range[]) => ranges.reduce((sum, { from, to }) => sum + to - from, 0);

/** The parts of a range that lie outside another. */
function without(range: Range, cut: Range): readonly Range[] {
  const parts = [
    { from: range.from, to: Math.min(range.to, cut.from) },
    { from: Math.max(range.from, cut.to), to: range.to },
  ];
  return parts.filter(({ from, to }) => from < to);
}

/** The round wants these ranges too, which are none of those that it wants. */
export function extended(
  state: RoundState,
  { ranges, pieces = state.options.pieces }: Pick<Extract<RoundEvent, { type: "extended" }>, "ranges" | "pieces">,
): RoundState {
  const more = ranges.filter(({ from, to }) => from < to);
  if (!isLive(state) || more.length === 0) return state;
  return {
    ...state,
    options: { ...state.options, pieces },
    wanted: state.wanted + sizeOf(more),
    unleased: [...state.unleased, ...more],
    wholeSince: null,
  };
}

/**
 * The round wants no more of these ranges than what is leased or collected of them: of all at once, for whoever waits
 * is leased what is left after each decision.
 */
export function narrowed(now: number, state: RoundState, ranges: readonly Range[]): RoundState {
  if (!isLive(state)) return state;
  let { unleased } = state;
  for (const range of ranges) unleased = unleased.flatMap((part) => without(part, range));
  const wanted = state.wanted - (sizeOf(state.unleased) - sizeOf(unleased));
  const whole = state.collected.size > 0 && state.collected.size >= wanted;
  return { ...state, unleased, wanted, wholeSince: whole ? (state.wholeSince ?? now) : null };
}

/** What of these ranges nobody has begun: ascending, and of each range none touching the next. */
export function notBegun({ unleased }: Pick<RoundState, "unleased">, within: readonly Range[]): readonly Range[] {
  const free = [...unleased].sort((a, b) => a.from - b.from);
  const parts = within.flatMap((range) => {
    const own: Range[] = [];
    for (const part of free) {
      const [from, to] = [Math.max(part.from, range.from), Math.min(part.to, range.to)];
      const before = own.at(-1);
      if (from >= to) continue;
      if (before?.to === from) own[own.length - 1] = { from: before.from, to };
      else own.push({ from, to });
    }
    return own;
  });
  return parts.sort((a, b) => a.from - b.from);
}

/** Takes ranges out of what nobody holds; undefined where not all of them are there. */
function taken(state: RoundState, ranges: readonly Range[]): RoundState | undefined {
  let { unleased } = state;
  for (const range of ranges) {
    const before = sizeOf(unleased);
    unleased = unleased.flatMap((part) => without(part, range));
    if (range.from >= range.to || before - sizeOf(unleased) !== range.to - range.from) return undefined;
  }
  return { ...state, unleased };
}

/**
 * A member holds these ranges already, from a leader before: they are its leases from now on, all of them or, where one
 * is not free any more, none.
 */
export function adopted(now: number, state: RoundState, worker: WorkerId, ranges: readonly Range[]): RoundChange {
  const nothing = { state, effects: [] };
  if (!isLive(state) || !state.roster.members.get(worker)) return nothing;
  let next = taken(state, ranges);
  if (!next) return nothing;
  const effects: RoundEffect[] = [];
  for (const { from, to } of ranges) {
    const { state: after, grant } = granted(now, next, { worker, from, to, purpose: { kind: "work" } });
    next = after;
    effects.push(grant);
  }
  return { state: next, effects };
}

/**
 * The holder of a lease gives a part of it back: what is left of it stays its own, behind the part as a lease of its
 * own. Nothing where it is all, which is a lease given back.
 */
export function trimmed(
  now: number,
  state: RoundState,
  { worker, lease: id, from, to }: Range & { readonly worker: WorkerId; readonly lease: LeaseId },
): RoundChange | undefined {
  const lease = state.leases.get(id);
  const nothing = { state, effects: [] };
  if (!isLive(state) || lease?.worker !== worker || !counts(lease) || lease.twin !== null) return nothing;
  if (!(lease.from <= from && from < to && to <= lease.to)) return nothing;
  if (from === lease.from && to === lease.to) return undefined;
  const [kept, rest] = without(lease, { from, to });
  const less = lease.to - lease.from - (kept.to - kept.from);
  const smaller = withSamples(withLease(state, { ...lease, ...kept }), lease.account, -less);
  const back = { ...smaller, unleased: [{ from, to }, ...state.unleased] };
  const effects: RoundEffect[] = [{ type: "lapse", cause: "returned", lease: { ...lease, from, to }, again: true }];
  if (!rest) return { state: back, effects };
  const { state: next, grant } = granted(now, back, { worker, ...rest, purpose: { kind: "work" } });
  return { state: next, effects: [...effects, grant] };
}

/**
 * A member has summed these ranges: its leases are cut where they begin and end, so that each is all of the sum or none
 * of it. What is outside goes on under the lease's number.
 */
export function split(
  now: number,
  state: RoundState,
  { worker, ranges }: { readonly worker: WorkerId; readonly ranges: readonly Range[] },
): RoundChange {
  let next = state;
  const effects: RoundEffect[] = [];
  if (!isLive(state)) return { state, effects };
  for (const lease of allLeasesOf(state, worker)) {
    if (!counts(lease) || lease.twin !== null) continue;
    let out: readonly Range[] = [{ from: lease.from, to: lease.to }];
    for (const range of ranges) out = out.flatMap((part) => without(part, range));
    const within = ranges.map(({ from, to }) => ({ from: Math.max(from, lease.from), to: Math.min(to, lease.to) }));
    const [kept, ...rest] = [...out, ...within.filter(({ from, to }) => from < to)];
    if (rest.length === 0) continue;
    next = withSamples(withLease(next, { ...lease, ...kept }), lease.account, -sizeOf(rest));
    for (const part of rest) {
      const { state: after, grant } = granted(now, next, { worker, ...part, purpose: { kind: "work" } });
      next = after;
      effects.push(grant);
    }
  }
  return { state: next, effects };
}

/** Of a round's leases, by their holders: each beat of a hundred gateways asks for those of one, several times. */
const byHolder = new WeakMap<RoundState["leases"], ReadonlyMap<WorkerId, readonly Lease[]>>();

/** All leases of a member, those that it has covered too, the newest first. */
export function allLeasesOf({ leases }: RoundState, worker: WorkerId): readonly Lease[] {
  const known = byHolder.get(leases) ?? heldLeases(leases);
  byHolder.set(leases, known);
  return known.get(worker) ?? [];
}

function heldLeases(leases: RoundState["leases"]): ReadonlyMap<WorkerId, readonly Lease[]> {
  const held = new Map<WorkerId, Lease[]>();
  leases.forEach((lease) => {
    const own = held.get(lease.worker);
    if (own) own.push(lease);
    else held.set(lease.worker, [lease]);
  });
  for (const own of held.values()) own.sort((a, b) => b.lease - a.lease);
  return held;
}

/** What a gateway says of itself; who has room for nothing takes part in nothing. */
export function stated(
  state: RoundState,
  worker: WorkerId,
  { room, speed, open }: Pick<Extract<RoundEvent, { type: "stated" }>, "room" | "speed" | "open">,
): RoundState {
  const member = state.roster.members.get(worker);
  if (!member) return state;
  const resting = room === 0;
  const asks = member.ticket !== null || resting ? {} : { ticket: state.roster.nextTicket };
  const change = { room, stated: speed, open, resting, heard: true, ...asks };
  const known = member.room === room && member.stated === speed && member.open === open;
  const same = known && member.resting === resting && !("ticket" in asks);
  if (same) return state;
  const roster = updated(state.roster, worker, change);
  return { ...state, roster: "ticket" in asks ? { ...roster, nextTicket: roster.nextTicket + 1 } : roster };
}

/** Whether a round of gateways is so late that nothing more is leased: what is begun is finished, the rest is left. */
export function isClosing(now: number, state: RoundState): boolean {
  const { options, collected, wanted, leases, roster } = state;
  if (roster.gateways.length === 0 || options.seal === "complete" || !isLate(now, state)) return false;
  let covered = collected.size;
  leases.forEach((lease) => {
    if (lease.receivedAt !== null) covered += lease.to - lease.from;
  });
  return mayEndEarly(covered, wanted);
}

/** Whose sums are due: all that is out is covered, and nothing more is to be leased. */
export function sumsDue(now: number, state: RoundState): readonly WorkerId[] {
  if (!isLive(state) || state.leases.size === 0 || state.roster.gateways.length === 0) return [];
  if (state.unleased.length > 0 && !isClosing(now, state)) return [];
  // What a worker has not answered may come back, and then goes out once more.
  if (state.leases.some(({ gateway = false, receivedAt }) => gateway && receivedAt === null)) return [];
  const workers = new Set<WorkerId>();
  state.leases.forEach((lease) => {
    if (lease.gateway) workers.add(lease.worker);
  });
  return [...workers];
}
