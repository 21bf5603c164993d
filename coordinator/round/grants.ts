// Who is leased what, now: comparisons first, then what nobody holds, and towards the end copies of what others have
// not answered.

import type { WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import { isClosing } from "./gateways.ts";
import type { Lease } from "./lease.ts";
import { granted, mayBackUp, type Offer } from "./leases.ts";
import { type Group, type Member, type Roster, speedOf, totalSpeed, workforce } from "./roster.ts";
import { FINEST_PART, leaseMicrobatches, type ShareRequest, tooSlow } from "./sizing.ts";
import { isEnding, isLate, type RoundEffect, type RoundOptions, type RoundState } from "./state.ts";

/** An account's share of a round is limited where there are at least so many that are proven. */
const LIMITED_FROM = 10;
/** A worker that was too slow for so many rounds is tried again: it may have been a spell. */
export const LEFT_OUT_ROUNDS = 8;

/** Grants of one decision at most: the others, and what comes in meanwhile, have their turn too. */
export const GRANTS_AT_ONCE = 8;

/** A state to which grants are added. */
export interface Granting {
  state: RoundState;
  readonly effects: RoundEffect[];
  /** Grants that this decision may still add. */
  left: number;
}

export function granting(state: RoundState, most = GRANTS_AT_ONCE): Granting {
  return { state, effects: [], left: most };
}

export function give(now: number, granting: Granting, offer: Offer): void {
  const { state, grant } = granted(now, granting.state, offer);
  granting.state = state;
  granting.effects.push(grant);
  granting.left--;
}

/**
 * Members of the workforce that can take a lease now, idle ones before those who would hold a second; each group in
 * the order of asking.
 */
export function* takers(granting: Granting, only?: WorkerId): Generator<readonly [WorkerId, Member]> {
  const { roster, options } = granting.state;
  const crew = workforce(roster);
  if (only !== undefined) {
    const member = roster.members.get(only);
    if (member && isOf(member, crew, roster) && canTake(member, options)) yield [only, member];
    return;
  }
  for (const line of options.ahead ? [crew.idle, crew.ahead] : [crew.idle]) {
    for (const [, worker] of line) {
      // Of the newest state, whose map is the fast one.
      const member = granting.state.roster.members.get(worker);
      if (member) yield [worker, member];
    }
  }
}

function isOf({ proven }: Member, crew: Group, roster: Roster): boolean {
  return crew === (proven ? roster.proven : roster.unproven);
}

function canTake({ ticket, suspended, resting, leases, room, gateway }: Member, { ahead }: RoundOptions): boolean {
  const fits = leases.length < room && (leases.length === 0 || ahead || gateway);
  return ticket !== null && !suspended && !resting && fits;
}

export function grantCopies(now: number, granting: Granting, only?: WorkerId): void {
  for (const [worker, member] of takers(granting, only)) {
    if (member.gateway) continue;
    const { copies, options, roster } = granting.state;
    if (copies.size === 0 || granting.left === 0) return;
    // One that would expire, as it did before perhaps, is no use, and keeps its auditor from the work.
    const speed = speedOf(member, roster.phase) ?? Number.POSITIVE_INFINITY;
    const taken = copies.takenBy(member, (speed * options.timeoutMs) / 1000);
    if (!taken) continue;
    const { copy, rest } = taken;
    granting.state = { ...granting.state, copies: rest };
    give(now, granting, { worker, from: copy.from, to: copy.to, purpose: { kind: "copy", copy } });
  }
}

/** Samples that an account may still be leased in this round. */
export function allowance(
  { options, roster, wanted, samplesByAccount }: RoundState,
  account: string,
  late: boolean,
): number {
  const { shareLimit, microbatch } = options;
  if (shareLimit >= 1 || late || roster.proven.accounts.size < LIMITED_FROM) return Number.POSITIVE_INFINITY;
  // Rounded up to microbatches, so that ten accounts of a tenth are the whole.
  const share = shareLimit / (roster.spread.get(account) ?? 1);
  const most = Math.ceil(((options.whole ?? wanted) * share) / microbatch) * microbatch;
  return most - (samplesByAccount.get(account) ?? 0);
}

function requestOf(now: number, state: RoundState, member: Member): ShareRequest {
  const { options, roster, wanted, collected, leases } = state;
  const { microbatch, timeoutMs } = options;
  const late = isLate(now, state);
  const held = member.leases.reduce((sum, id) => {
    const lease = leases.get(id);
    return lease ? sum + Math.ceil((lease.to - lease.from) / microbatch) : sum;
  }, 0);
  const request = {
    speed: speedOf(member, roster.phase),
    leases: member.speeds[roster.phase]?.leases ?? 0,
    unleased: Math.ceil(state.unleased.reduce((sum, { from, to }) => sum + to - from, 0) / microbatch),
    wanted: Math.ceil(wanted / microbatch),
    pieces: options.pieces,
    first: options.first,
    ...totalSpeed(workforce(roster).active),
    remaining: Math.ceil((wanted - collected.size) / microbatch),
    held,
    most: Math.floor(
      Math.min(options.maxMicrobatches, member.maxMicrobatches, allowance(state, member.account, late) / microbatch),
    ),
    microbatch,
    timeoutMs,
    unpacedMs: options.hasHistory ? Number.POSITIVE_INFINITY : now - (state.since ?? now),
  };
  return member.gateway ? gatewayRequest(request, options) : request;
}

/**
 * The least piece of a gateway's share of a round is one in so many; the first are larger, as any of them can be given
 * back in part.
 */
export const GATEWAY_PIECES = 20;

/**
 * Limits of one lease are for workers: a gateway cuts what it is leased by its own. Nor does it have less for what it
 * holds, of which most may be answered: whoever would be done first has its turn.
 */
function gatewayRequest(request: ShareRequest, { oneLease }: RoundOptions): ShareRequest {
  const most = Number.POSITIVE_INFINITY;
  const pieces = oneLease ? 1 : GATEWAY_PIECES / FINEST_PART;
  return { ...request, most, timeoutMs: most, first: most, unpacedMs: most, pieces, held: 0 };
}

/** Milliseconds that a gateway's volunteers need for what they have before them. */
function busyMs({ roster, leases }: RoundState, worker: WorkerId, mean: number): number {
  const member = roster.members.get(worker);
  if (!member) return Number.POSITIVE_INFINITY;
  const held = () =>
    member.leases.reduce((sum, id) => {
      const lease = leases.get(id);
      return lease ? sum + lease.to - lease.from : sum;
    }, 0);
  return (1000 * (member.open ?? held())) / (speedOf(member, roster.phase) ?? mean);
}

/** Gateways have room for many leases: the next is always for the one that would be done first. */
export function grantGateways(now: number, granting: Granting): void {
  const { roster, unleased } = granting.state;
  if (roster.gateways.length === 0 || unleased.length === 0) return;
  const { mean } = totalSpeed(workforce(roster).active);
  const busy = new Map(roster.gateways.map((worker) => [worker, busyMs(granting.state, worker, mean)]));
  while (granting.left > 0 && granting.state.unleased.length > 0 && busy.size > 0) {
    const before = granting.left;
    const [first] = [...busy].reduce((least, one) => (one[1] < least[1] ? one : least));
    for (const [worker, member] of takers(granting, first)) grantNext(now, granting, worker, member);
    if (granting.left < before) busy.set(first, busyMs(granting.state, first, mean));
    else busy.delete(first);
  }
}

/**
 * The request where a worker's share is one lease: its part, by speed, of what nobody holds yet, shared with those who
 * have had nothing; the last of them takes all. None for a worker that had its lease while others have not, unless it
 * is late.
 */
function onlyRequest(now: number, state: RoundState, member: Member): ShareRequest | undefined {
  const request = requestOf(now, state, member);
  const { unserved } = workforce(state.roster);
  if (unserved.count === 0 || isLate(now, state)) return request;
  if (member.served === state.round) return undefined;
  const { microbatch } = state.options;
  const remaining = state.unleased.reduce((sum, { from, to }) => sum + Math.ceil((to - from) / microbatch), 0);
  const total = unserved.speed + (unserved.count - unserved.known) * request.mean;
  return { ...request, remaining, total };
}

/** Leases a member its part of what nobody holds, where it is of use. */
function grantNext(now: number, granting: Granting, worker: WorkerId, member: Member): void {
  const { state } = granting;
  const [head] = state.unleased;
  if (!head || (member.gateway && isClosing(now, state))) return;
  const request = state.options.oneLease ? onlyRequest(now, state, member) : requestOf(now, state, member);
  if (!request) return;
  const patient = member.leftOut >= LEFT_OUT_ROUNDS || isLate(now, state);
  if (!patient && tooSlow(request)) return;
  const size = leaseMicrobatches(request);
  if (size < 1) return;
  const to = Math.min(head.to, head.from + size * state.options.microbatch);
  const rest: readonly Range[] = to === head.to ? [] : [{ from: to, to: head.to }];
  granting.state = { ...state, unleased: [...rest, ...state.unleased.slice(1)] };
  give(now, granting, { worker, from: head.from, to, purpose: { kind: "work" } });
}

/** To those who are no gateways. */
export function grantWork(now: number, granting: Granting, only?: WorkerId): void {
  for (const [worker, member] of takers(granting, only)) {
    if (granting.state.unleased.length === 0 || granting.left === 0) return;
    if (!member.gateway) grantNext(now, granting, worker, member);
  }
}

/** The most samples that a member may be lent at once. */
export function mostLent(now: number, state: RoundState, { account, maxMicrobatches }: Member): number {
  return Math.min(maxMicrobatches * state.options.microbatch, allowance(state, account, isLate(now, state)));
}

/** Whether a member would be done with what it holds and so many samples before the round is, by everybody's speed. */
export function inTime(now: number, state: RoundState, member: Member, samples: number): boolean {
  const { roster, leases, wanted, collected } = state;
  const speed = speedOf(member, roster.phase);
  if (speed === undefined) return false;
  const free = member.leases.reduce((end, id) => Math.max(end, leases.get(id)?.endsAt ?? end), now);
  const rest = (wanted - collected.size) / totalSpeed(workforce(roster).active).total;
  return free + (1000 * samples) / speed <= now + 1000 * rest;
}

/**
 * Whether a member may compute what another holds too. One of the same account is probably the same machine, and no
 * help; save where the holder's connection is lost, as of a tab that crashed beside another, and nobody else is there.
 */
export function mayHelp({ roster }: RoundState, lease: Lease, { account }: Member): boolean {
  if (lease.account !== account) return true;
  return workforce(roster).accounts.size <= 1 && (roster.members.get(lease.worker)?.suspended ?? false);
}

/**
 * Lends what is overdue to a worker that asks, is no slower than the mean and ends it in time, before it is given what
 * nobody has begun.
 */
export function grantOverdue(now: number, granting: Granting, asker: WorkerId): void {
  const { state } = granting;
  const { overdue, roster } = state;
  for (const [worker, member] of takers(granting, asker)) {
    if (member.gateway) return;
    if ((speedOf(member, roster.phase) ?? 0) < totalSpeed(workforce(roster).active).mean) return;
    const most = mostLent(now, state, member);
    for (const [, id] of overdue) {
      const lease = state.leases.get(id);
      const samples = lease ? lease.to - lease.from : 0;
      if (!lease || !mayHelp(state, lease, member) || samples > most) continue;
      if (!inTime(now, state, member, samples)) continue;
      give(now, granting, { worker, from: lease.from, to: lease.to, purpose: { kind: "backup", of: id } });
      return;
    }
  }
}

/**
 * What idle workers may back up, whoever they are: towards the end all that is not answered, else what lost its holder
 * or, in one piece, is overdue.
 */
function toBackUp(state: RoundState, ending: boolean): Lease[] {
  const open: Lease[] = [];
  if (ending) {
    state.leases.forEach((lease) => {
      if (mayBackUp(lease, true)) open.push(lease);
    });
    return open;
  }
  // In pieces, ticks lend what else is overdue to who will end it sooner.
  const inOnePiece = state.options.pieces === 1;
  for (const [, id] of state.overdue) {
    const lease = state.leases.get(id);
    if (lease && (inOnePiece || state.roster.members.get(lease.worker)?.suspended)) open.push(lease);
  }
  return open;
}

export function grantBackups(now: number, granting: Granting): void {
  const { state } = granting;
  const { roster } = state;
  const ending = isEnding(now, state);
  // Most rounds are at neither, and asked at every event.
  const crew = workforce(roster);
  if (crew.idle.size === 0 || (!ending && state.overdue.size === 0)) return;
  const open = toBackUp(state, ending);
  if (open.length === 0) return;
  const speed = (worker: WorkerId) => {
    const member = roster.members.get(worker);
    return member ? (speedOf(member, roster.phase) ?? 0) : 0;
  };
  // The oldest first; of those granted at once, the slowest worker's.
  open.sort((a, b) => a.grantedAt - b.grantedAt || speed(a.worker) - speed(b.worker) || a.lease - b.lease);
  const idle = [...crew.idle].map(([, worker]) => ({ worker, speed: speed(worker) }));
  idle.sort((a, b) => b.speed - a.speed);
  for (const { worker } of idle) {
    const member = granting.state.roster.members.get(worker);
    if (!member || member.gateway) continue;
    if (open.length === 0 || granting.left === 0) return;
    const most = mostLent(now, granting.state, member);
    const index = open.findIndex((lease) => mayHelp(state, lease, member) && lease.to - lease.from <= most);
    if (index < 0) continue;
    const [{ lease, from, to }] = open.splice(index, 1);
    give(now, granting, { worker, from, to, purpose: { kind: "backup", of: lease } });
  }
}
