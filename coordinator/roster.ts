// Who takes part in the rounds: what each worker does, holds and can do, with the sums that sizing a lease needs kept up to date.

import type { RoundKind } from "../shared/contribution.ts";
import type { LeaseId, WorkerId } from "../shared/ids.ts";
import { type Speed, unknownSpeed } from "./lease-sizing.ts";
import { PersistentMap } from "./persistent-map.ts";

/** What a worker is known by when it joins. */
export interface MemberFacts {
  /** Who answers for it; by default itself. */
  readonly account?: string;
  /** Where it comes from, as addresses are counted. */
  readonly address?: string;
  /** The most microbatches of one lease that it can hold. */
  readonly maxMicrobatches?: number;
}

export interface Member {
  readonly account: string;
  readonly address: string | null;
  readonly maxMicrobatches: number;
  /** When it asked for a lease that it has not got; numbers in the order of asking. */
  readonly ticket: number | null;
  /** At most two: the one it computes, and the one it goes on with. */
  readonly leases: readonly LeaseId[];
  /** The round in which it was last answered and since when it is expected to ask again. */
  readonly expected: number | null;
  /** Its connection is lost, and it may come back. */
  readonly suspended: boolean;
  /** It takes no lease: it has not asked for one yet, it is paused, or its account rests. Its next `ready` ends that. */
  readonly resting: boolean;
  /** The newest round in which it was leased work that counts. */
  readonly served: number | null;
  /** Rounds in a row in which it waited and got nothing. */
  readonly leftOut: number;
  readonly speeds: Readonly<Partial<Record<RoundKind, Speed>>>;
}

/** The workers of an account that are there and do not rest. */
export interface AccountWorkers {
  readonly workers: number;
  /** Of the last that came. */
  readonly address: string | null;
}

export interface Roster {
  /** The round's kind: `known` and `speed` are of it. */
  readonly kind: RoundKind;
  readonly members: PersistentMap<WorkerId, Member>;
  /** Tickets of those who wait for a lease. */
  readonly waiting: PersistentMap<WorkerId, number>;
  /** Accounts that have any. */
  readonly accounts: PersistentMap<string, AccountWorkers>;
  /** Members whose connection is lost. */
  readonly suspended: number;
  /** Members that work or are about to. */
  readonly active: number;
  /** Of those, whose speed is known, and the sum of their speeds in samples a second. */
  readonly known: number;
  readonly speed: number;
  readonly nextTicket: number;
}

export function emptyRoster(): Roster {
  return {
    kind: "student",
    members: PersistentMap.of(),
    waiting: PersistentMap.of(),
    accounts: PersistentMap.of(),
    suspended: 0,
    active: 0,
    known: 0,
    speed: 0,
    nextTicket: 1,
  };
}

export function newMember(worker: WorkerId, facts: MemberFacts = {}): Member {
  return {
    account: facts.account ?? worker,
    address: facts.address ?? null,
    maxMicrobatches: facts.maxMicrobatches ?? Number.POSITIVE_INFINITY,
    ticket: null,
    leases: [],
    expected: null,
    suspended: false,
    resting: true,
    served: null,
    leftOut: 0,
    speeds: {},
  };
}

/** Whether it works, or is about to. */
export function isActive({ suspended, resting, ticket, leases, expected }: Member): boolean {
  return !suspended && !resting && (ticket !== null || leases.length > 0 || expected !== null);
}

export function speedOf(member: Member, kind: RoundKind): number | undefined {
  return member.speeds[kind]?.samplesPerSecond;
}

/** The member with its speed at one kind of round changed. */
export function withSpeed(member: Member, kind: RoundKind, change: (before: Speed) => Speed): Member {
  return { ...member, speeds: { ...member.speeds, [kind]: change(member.speeds[kind] ?? unknownSpeed) } };
}

/** The account for which a worker takes part in what accounts share. */
function sharer(member: Member | undefined): string | undefined {
  return member === undefined || member.suspended || member.resting ? undefined : member.account;
}

type Counts = Pick<Roster, "suspended" | "active" | "known" | "speed">;

function counted(roster: Roster, member: Member | undefined, sign: 1 | -1): Counts {
  const { active, known, speed } = roster;
  const suspended = roster.suspended + (member?.suspended ? sign : 0);
  if (!member || !isActive(member)) return { suspended, active, known, speed };
  const own = speedOf(member, roster.kind);
  if (own === undefined) return { suspended, active: active + sign, known, speed };
  const others = known + sign;
  // Rounding must not add up to a speed where nobody is left.
  return { suspended, active: active + sign, known: others, speed: others === 0 ? 0 : speed + sign * own };
}

/** The roster with a member added, changed or, where it is undefined, removed. */
export function withMember(roster: Roster, worker: WorkerId, member: Member | undefined): Roster {
  const before = roster.members.get(worker);
  const less = { ...roster, ...counted(roster, before, -1) };
  let { waiting, accounts } = roster;
  if (member?.ticket == null) waiting = waiting.delete(worker);
  else waiting = waiting.set(worker, member.ticket);
  const [from, to] = [sharer(before), sharer(member)];
  if (from !== to) {
    if (from !== undefined) {
      const { workers, address } = accounts.get(from) ?? { workers: 1, address: null };
      accounts = workers === 1 ? accounts.delete(from) : accounts.set(from, { workers: workers - 1, address });
    }
    if (member && to !== undefined) {
      accounts = accounts.set(to, { workers: (accounts.get(to)?.workers ?? 0) + 1, address: member.address });
    }
  }
  const members = member ? roster.members.set(worker, member) : roster.members.delete(worker);
  return { ...less, ...counted(less, member, 1), members, waiting, accounts };
}

/** The roster with fields of a member changed; nothing where there is no such member. */
export function updated(roster: Roster, worker: WorkerId, change: Partial<Member>): Roster {
  const member = roster.members.get(worker);
  return member ? withMember(roster, worker, { ...member, ...change }) : roster;
}

/**
 * The roster at the opening of a round: sums are of its kind, who was expected all through the round before is so no
 * longer, and who waited through it was left out once more.
 */
export function atRound(roster: Roster, kind: RoundKind, round: number): Roster {
  let next: Roster = { ...emptyRoster(), kind, nextTicket: roster.nextTicket };
  for (const [worker, member] of roster.members) {
    const { ticket, leases, expected } = member;
    const waits = ticket !== null && leases.length === 0;
    next = withMember(next, worker, {
      ...member,
      expected: expected !== null && expected < round - 1 ? null : expected,
      leftOut: waits ? member.leftOut + 1 : member.leftOut,
    });
  }
  return next;
}

/** Speeds of the active, the unknown counted as the mean of the known. */
export function totalSpeed({ active, known, speed }: Roster): { readonly mean: number; readonly total: number } {
  const mean = known === 0 ? 1 : Math.max(speed / known, Number.MIN_VALUE);
  return { mean, total: Math.max(speed, 0) + (active - known) * mean };
}

/** Those who wait, in the order in which they asked. */
export function inLine({ waiting }: Roster): WorkerId[] {
  return [...waiting].sort(([, a], [, b]) => a - b).map(([worker]) => worker);
}
