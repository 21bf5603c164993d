// Who is leased what, now: comparisons first, then what nobody holds, and towards the end copies of what others have not answered.

import type { LeaseId, WorkerId } from "../shared/ids.ts";
import type { Range } from "../shared/intervals.ts";
import { BACKUP_FROM } from "./deadline.ts";
import { leaseMicrobatches, type ShareRequest, tooSlow } from "./lease-sizing.ts";
import { inLine, isActive, type Member, speedOf, totalSpeed } from "./roster.ts";
import { mayCompare } from "./round-audits.ts";
import { granted, type Offer } from "./round-leases.ts";
import { isLate, isLive, type Lease, type RoundEffect, type RoundState } from "./round-state.ts";

/** An account's share of a round is limited where there are at least so many accounts. */
const LIMITED_FROM = 10;
/** A worker that was too slow for so many rounds is tried again: it may have been a spell. */
export const LEFT_OUT_ROUNDS = 8;

/** A state to which grants are added. */
export interface Granting {
  state: RoundState;
  readonly effects: RoundEffect[];
}

/**
 * Grants all that can be granted now.
 * @param only nothing has changed for anybody else; where leases come in pieces the others are looked at with the next tick of
 * the clock, so that ten thousand workers are not looked at with each of their messages
 */
export function grantAll(
  now: number,
  state: RoundState,
  only?: WorkerId,
): { state: RoundState; effects: readonly RoundEffect[] } {
  const granting: Granting = { state, effects: [] };
  if (!isLive(state) || state.roster.waiting.size === 0) return granting;
  const asker = state.options.pieces > 1 ? only : undefined;
  if (state.copies.length > 0) grantCopies(now, granting, asker);
  if (asker !== undefined && granting.state.overdue.length > 0) grantOverdue(now, granting, asker);
  if (granting.state.unleased.length > 0) grantWork(now, granting, asker);
  if (granting.state.unleased.length === 0 && asker === undefined) grantBackups(now, granting);
  return granting;
}

export function give(now: number, granting: Granting, offer: Offer): void {
  const { state, grant } = granted(now, granting.state, offer);
  granting.state = state;
  granting.effects.push(grant);
}

/** Members that can take a lease now, idle ones before those who would hold a second; each group in the order of asking. */
export function takers({ roster, options }: RoundState, only?: WorkerId): readonly (readonly [WorkerId, Member])[] {
  const idle: [WorkerId, Member][] = [];
  const busy: [WorkerId, Member][] = [];
  for (const worker of only === undefined ? inLine(roster) : [only]) {
    const member = roster.members.get(worker);
    if (!member || member.ticket === null || member.suspended || member.resting) continue;
    if (member.leases.length === 0) idle.push([worker, member]);
    else if (options.ahead && member.leases.length === 1) busy.push([worker, member]);
  }
  return [...idle, ...busy];
}

function grantCopies(now: number, granting: Granting, only?: WorkerId): void {
  for (const [worker, member] of takers(granting.state, only)) {
    const { copies } = granting.state;
    const index = copies.findIndex((due) => mayCompare(due, member));
    if (index < 0) continue;
    const { copy } = copies[index];
    granting.state = { ...granting.state, copies: copies.toSpliced(index, 1) };
    give(now, granting, { worker, from: copy.from, to: copy.to, purpose: { kind: "copy", copy } });
  }
}

/** Samples that an account may still be leased in this round. */
export function allowance({ options, roster, wanted, given }: RoundState, account: string, late: boolean): number {
  const { shareLimit, microbatch } = options;
  if (shareLimit >= 1 || late || roster.accounts.size < LIMITED_FROM) return Number.POSITIVE_INFINITY;
  // Rounded up to microbatches, so that ten accounts of a tenth are the whole.
  const most = Math.ceil((wanted * shareLimit) / microbatch) * microbatch;
  return most - (given.get(account) ?? 0);
}

function requestOf(now: number, state: RoundState, member: Member): ShareRequest {
  const { options, roster, wanted, collected, leases } = state;
  const { microbatch, timeoutMs } = options;
  const late = isLate(now, state);
  const held = member.leases.reduce((sum, id) => {
    const lease = leases.get(id);
    return lease ? sum + Math.ceil((lease.to - lease.from) / microbatch) : sum;
  }, 0);
  return {
    speed: speedOf(member, roster.kind),
    leases: member.speeds[roster.kind]?.leases ?? 0,
    unleased: Math.ceil(state.unleased.reduce((sum, { from, to }) => sum + to - from, 0) / microbatch),
    wanted: Math.ceil(wanted / microbatch),
    pieces: options.pieces,
    first: options.first,
    ...totalSpeed(roster),
    remaining: Math.ceil((wanted - collected.size) / microbatch),
    held,
    most: Math.floor(
      Math.min(options.maxMicrobatches, member.maxMicrobatches, allowance(state, member.account, late) / microbatch),
    ),
    microbatch,
    timeoutMs,
  };
}

/** Those who work on the round, or are about to, and have been leased nothing of it. */
function unserved({ roster, round }: RoundState): readonly Member[] {
  return [...roster.members].map(([, member]) => member).filter((m) => isActive(m) && m.served !== round);
}

/**
 * The request where a worker's share is one lease: its part, by speed, of what nobody holds yet, shared with those who have
 * had nothing; the last of them takes all. None for a worker that had its lease while others have not, unless it is late.
 */
function onlyRequest(now: number, state: RoundState, member: Member): ShareRequest | undefined {
  const request = requestOf(now, state, member);
  const others = unserved(state);
  if (others.length === 0 || isLate(now, state)) return request;
  if (member.served === state.round) return undefined;
  const { microbatch } = state.options;
  const remaining = state.unleased.reduce((sum, { from, to }) => sum + Math.ceil((to - from) / microbatch), 0);
  const total = others.reduce((sum, other) => sum + (speedOf(other, state.roster.kind) ?? request.mean), 0);
  return { ...request, remaining, total };
}

function grantWork(now: number, granting: Granting, only?: WorkerId): void {
  for (const [worker, member] of takers(granting.state, only)) {
    const { state } = granting;
    const [head] = state.unleased;
    if (!head) return;
    const request = state.options.oneLease ? onlyRequest(now, state, member) : requestOf(now, state, member);
    if (!request) continue;
    const patient = member.leftOut >= LEFT_OUT_ROUNDS || isLate(now, state);
    if (!patient && tooSlow(request)) continue;
    const size = leaseMicrobatches(request);
    if (size < 1) continue;
    const to = Math.min(head.to, head.from + size * state.options.microbatch);
    const rest: readonly Range[] = to === head.to ? [] : [{ from: to, to: head.to }];
    granting.state = { ...state, unleased: [...rest, ...state.unleased.slice(1)] };
    give(now, granting, { worker, from: head.from, to, purpose: { kind: "work" } });
  }
}

/** Whether another may compute the lease's range too: not yet two of them, and late or in the hands of one who is gone. */
export function mayBackUp(state: RoundState, lease: Lease, ending: boolean): boolean {
  if (!("twin" in lease) || lease.twin !== null || lease.lent || lease.receivedAt !== null) return false;
  return ending || state.roster.members.get(lease.worker)?.suspended === true;
}

/** Lends what is overdue to a worker that asks and is no slower than the mean, before it is given what nobody has begun. */
function grantOverdue(now: number, granting: Granting, asker: WorkerId): void {
  const { state } = granting;
  const { overdue, roster, options } = state;
  const [taker] = takers(state, asker);
  if (!taker) return;
  const [worker, member] = taker;
  if ((speedOf(member, roster.kind) ?? 0) < totalSpeed(roster).mean) return;
  const most = Math.min(
    member.maxMicrobatches * options.microbatch,
    allowance(state, member.account, isLate(now, state)),
  );
  const fits = (id: LeaseId) => {
    const lease = state.leases.get(id);
    if (!lease || !mayBackUp(state, lease, true)) return undefined;
    return lease.account !== member.account && lease.to - lease.from <= most ? lease : undefined;
  };
  const lease = overdue.map(fits).find((found) => found !== undefined);
  if (!lease) return;
  granting.state = { ...state, overdue: overdue.filter((id) => id !== lease.lease) };
  give(now, granting, { worker, from: lease.from, to: lease.to, purpose: { kind: "backup", of: lease.lease } });
}

function grantBackups(now: number, granting: Granting): void {
  const { state } = granting;
  const { since, options, roster } = state;
  const ending = since !== null && now >= since + BACKUP_FROM * options.deadlineMs;
  // Most rounds are at neither, and asked at every event.
  if (!ending && roster.suspended === 0) return;
  const idle = takers(state).filter(([, { leases }]) => leases.length === 0);
  if (idle.length === 0) return;
  const open = state.leases.values().filter((lease) => mayBackUp(state, lease, ending));
  if (open.length === 0) return;
  const speed = (worker: WorkerId) => {
    const member = roster.members.get(worker);
    return member ? (speedOf(member, roster.kind) ?? 0) : 0;
  };
  // The oldest first; of those granted at once, the slowest worker's.
  open.sort((a, b) => a.grantedAt - b.grantedAt || speed(a.worker) - speed(b.worker) || a.lease - b.lease);
  idle.sort(([a], [b]) => speed(b) - speed(a));
  const late = isLate(now, state);
  for (const [worker, member] of idle) {
    const most = Math.min(member.maxMicrobatches * options.microbatch, allowance(granting.state, member.account, late));
    const index = open.findIndex((lease) => lease.account !== member.account && lease.to - lease.from <= most);
    if (index < 0) continue;
    const [{ lease, from, to }] = open.splice(index, 1);
    give(now, granting, { worker, from, to, purpose: { kind: "backup", of: lease } });
  }
}
