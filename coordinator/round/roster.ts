// Who takes part in the rounds: what each worker does, holds and can do, with the sums that sizing a lease needs kept
// up to date.

import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import { OrderedMap } from "../../shared/base/ordered-map.ts";
import { type Answering, isProven, known, nothingShown } from "./answering.ts";
import { PersistentMap } from "./persistent-map.ts";
import { type Speed, unknownSpeed } from "./sizing.ts";

/** What a worker is known by when it joins. */
export interface MemberFacts {
  /** Who answers for it; by default itself. */
  readonly account?: string;
  /** Where it comes from, as addresses are counted. */
  readonly address?: string;
  /** It runs on the coordinator's machine: whoever started the run started it. */
  readonly own?: boolean;
  /** Nobody knows yet whether its account answers what it is lent: until it has, nobody waits for it. */
  readonly unproven?: boolean;
  /** The most microbatches of one lease that it can hold. */
  readonly maxMicrobatches?: number;
  /**
   * It is a gateway, with room for so many leases, which it asks for all at once. It answers for its volunteers itself:
   * no lease of its own expires or is lent to another, and where it leaves it takes with it what it has covered.
   */
  readonly room?: number;
  /** Samples a second, where it knows better than what its answers tell: a gateway's volunteers change. */
  readonly speed?: number;
}

/** Leases that a worker holds at most: the one it computes, and the one it goes on with. */
export const LEASES_OF_A_WORKER = 2;

/** Leases of a worker that are remembered once they are over: to answer one late is no fault (SPEC.md, C4). */
export const REMEMBERED_LEASES = 64;

export interface Member {
  readonly account: string;
  readonly address: string | null;
  readonly own: boolean;
  /** Its account answers what it is lent: others wait for what it holds. */
  readonly proven: boolean;
  readonly maxMicrobatches: number;
  /** Of volunteers: see `MemberFacts.room`. */
  readonly gateway: boolean;
  /** Leases that it holds at most. */
  readonly room: number;
  /** Samples a second, as it says itself; undefined of who is measured. */
  readonly stated: number | undefined;
  /** Of a gateway: samples of its leases that its volunteers have not answered; undefined where it has not said. */
  readonly open: number | undefined;
  /** When it asked for a lease that it has not got; numbers in the order of asking. */
  readonly ticket: number | null;
  /** Those that it computes or goes on with; what it has answered and is being checked is none of them. */
  readonly leases: readonly LeaseId[];
  /** The last that it was granted, the newest last; see `withMember`. */
  readonly had: readonly LeaseId[];
  /** Spares of rounds that are over, which it still computes to show that its account answers. */
  readonly trials: readonly LeaseId[];
  /** The round in which it was last answered and since when it is expected to ask again. */
  readonly expected: number | null;
  /** Its connection is lost, and it may come back. */
  readonly suspended: boolean;
  /**
   * It takes no lease: it has not asked for one yet, it is paused, or its account rests. Its next `ready` ends that.
   */
  readonly resting: boolean;
  /** It has asked for a lease, or said that it wants none: before, it prepares. */
  readonly heard: boolean;
  /** The newest round in which it was leased work that counts. */
  readonly served: number | null;
  /** Rounds in a row in which it waited and got nothing. */
  readonly leftOut: number;
  /** By phase. */
  readonly speeds: Readonly<Record<string, Speed | undefined>>;
}

/** The workers of an account that are there and do not rest, in the order in which they came or were ready again. */
export type AccountWorkers = readonly WorkerId[];

/** What the speeds of some members add up to. */
export interface Crew {
  readonly count: number;
  /** Of those, whose speed is known, and the sum of their speeds in samples a second. */
  readonly known: number;
  readonly speed: number;
}

/** Members of one kind: those whose accounts are proven, or those of whom nobody knows. */
export interface Group {
  /** Who waits for a lease and holds none, or one, by ticket; nobody who rests or whose connection is lost. */
  readonly idle: OrderedMap<WorkerId>;
  readonly ahead: OrderedMap<WorkerId>;
  /** Accounts that have any. */
  readonly accounts: PersistentMap<string, AccountWorkers>;
  /** Members that work or are about to, and those of them who were leased no work of the round. */
  readonly active: Crew;
  readonly unserved: Crew;
}

export interface Roster {
  /** The round's phase, of which the speeds are, and its number. */
  readonly phase: string;
  readonly round: number;
  readonly members: PersistentMap<WorkerId, Member>;
  /** Those of them that are gateways, in the order in which they came. */
  readonly gateways: readonly WorkerId[];
  readonly proven: Group;
  readonly unproven: Group;
  /** What accounts have shown, and the lapses of all accounts of an address. */
  readonly answering: PersistentMap<string, Answering>;
  readonly lapses: PersistentMap<string, number>;
  readonly nextTicket: number;
  /** Accounts that are at several gateways, and at how many. */
  readonly spread: PersistentMap<string, number>;
}

const nobody: Crew = { count: 0, known: 0, speed: 0 };
const emptyGroup = (): Group => ({
  idle: OrderedMap.of(),
  ahead: OrderedMap.of(),
  accounts: PersistentMap.of(),
  active: nobody,
  unserved: nobody,
});

/** Accounts, and addresses, of which it is remembered what they have shown; the others begin anew. */
export const REMEMBERED = 10_000;

export function emptyRoster(): Roster {
  return {
    phase: "",
    round: 0,
    members: PersistentMap.of(),
    gateways: [],
    proven: emptyGroup(),
    unproven: emptyGroup(),
    answering: PersistentMap.of(),
    lapses: PersistentMap.of(),
    nextTicket: 1,
    spread: PersistentMap.of(),
  };
}

export function newMember(worker: WorkerId, facts: MemberFacts = {}): Member {
  return {
    account: facts.account ?? worker,
    address: facts.address ?? null,
    own: facts.own ?? false,
    proven: false,
    maxMicrobatches: facts.maxMicrobatches ?? Number.POSITIVE_INFINITY,
    gateway: facts.room !== undefined,
    room: facts.room ?? LEASES_OF_A_WORKER,
    stated: facts.speed,
    open: undefined,
    ticket: null,
    leases: [],
    had: [],
    trials: [],
    expected: null,
    suspended: false,
    resting: true,
    heard: false,
    served: null,
    leftOut: 0,
    speeds: {},
  };
}

/** Whether it works, or is about to. */
export function isActive({ suspended, resting, ticket, leases, expected }: Member): boolean {
  return !suspended && !resting && (ticket !== null || leases.length > 0 || expected !== null);
}

export function speedOf(member: Member, phase: string): number | undefined {
  return member.stated ?? member.speeds[phase]?.samplesPerSecond;
}

/** The member with its speed in one phase changed. */
export function withSpeed(member: Member, phase: string, change: (before: Speed) => Speed): Member {
  return { ...member, speeds: { ...member.speeds, [phase]: change(member.speeds[phase] ?? unknownSpeed) } };
}

/** The account for which a worker takes part in what accounts share. */
function sharer(member: Member | undefined): string | undefined {
  return member === undefined || member.suspended || member.resting ? undefined : member.account;
}

/** The crew with one member less and another more. */
function exchanged(crew: Crew, phase: string, less: Member | undefined, more: Member | undefined): Crew {
  const [before, after] = [less && speedOf(less, phase), more && speedOf(more, phase)];
  if (less && more && before === after) return crew;
  const count = crew.count + (more ? 1 : 0) - (less ? 1 : 0);
  const known = crew.known + (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
  // Rounding must not add up to a speed where nobody is left.
  return { count, known, speed: known === 0 ? 0 : crew.speed - (before ?? 0) + (after ?? 0) };
}

/** In which line it waits, if in any. */
function lineOf({ ticket, suspended, resting, leases, room }: Member): "idle" | "ahead" | undefined {
  if (ticket === null || suspended || resting || leases.length >= room) return undefined;
  return leases.length === 0 ? "idle" : "ahead";
}

function lines({ idle, ahead }: Group, worker: WorkerId, before: Member | undefined, member: Member | undefined) {
  const [from, to] = [before && lineOf(before), member && lineOf(member)];
  if (from === to && before?.ticket === member?.ticket) return { idle, ahead };
  const lines = { idle, ahead };
  if (from && before?.ticket != null) lines[from] = lines[from].delete(before.ticket);
  if (to && member?.ticket != null) lines[to] = lines[to].set(member.ticket, worker);
  return lines;
}

function accountsOf({ accounts }: Group, worker: WorkerId, before: Member | undefined, member: Member | undefined) {
  const [from, to] = [sharer(before), sharer(member)];
  if (from === to) return accounts;
  let next = accounts;
  if (from !== undefined) {
    const others = (next.get(from) ?? []).filter((other) => other !== worker);
    next = others.length > 0 ? next.set(from, others) : next.delete(from);
  }
  return to === undefined ? next : next.set(to, [...(next.get(to) ?? []), worker]);
}

/** The group with a member added, changed or removed. */
function regrouped(
  group: Group,
  { phase, round }: Roster,
  worker: WorkerId,
  before: Member | undefined,
  member: Member | undefined,
): Group {
  const { idle, ahead } = lines(group, worker, before, member);
  const [worked, works] = [
    before && isActive(before) ? before : undefined,
    member && isActive(member) ? member : undefined,
  ];
  const [lacked, lacks] = [worked?.served === round ? undefined : worked, works?.served === round ? undefined : works];
  return {
    idle,
    ahead,
    accounts: accountsOf(group, worker, before, member),
    active: exchanged(group.active, phase, worked, works),
    unserved: exchanged(group.unserved, phase, lacked, lacks),
  };
}

/** Those for whom the round is cut and who are waited for: who is proven and takes part, or all where nobody is. */
export function workforce({ proven, unproven }: Roster): Group {
  return proven.active.count > 0 ? proven : unproven;
}

/** The worker that came last of those of an account that takes part. */
export function newestOf(
  { proven, unproven, members }: Roster,
  account: string,
): readonly [WorkerId, Member] | undefined {
  const worker = (proven.accounts.get(account) ?? unproven.accounts.get(account))?.at(-1);
  const member = worker && members.get(worker);
  return member && [worker, member];
}

/** The member with the leases remembered that it did not hold before. */
function withLeases(before: Member | undefined, member: Member): Member {
  const granted = member.leases.filter((lease) => !before?.leases.includes(lease));
  return granted.length === 0 ? member : { ...member, had: [...member.had, ...granted].slice(-REMEMBERED_LEASES) };
}

/** Whether an account takes part. */
export function takesPart({ proven, unproven }: Roster, account: string): boolean {
  return proven.accounts.get(account) !== undefined || unproven.accounts.get(account) !== undefined;
}

export function answeringOf({ answering }: Roster, account: string): Answering {
  return answering.get(account) ?? nothingShown;
}

function provenOf(roster: Roster, { account, address, own }: Member): boolean {
  return isProven(answeringOf(roster, account), own || address === null ? 0 : roster.lapses.get(address));
}

/** The roster without what an account has shown, where that is nothing. */
export function withoutTrace(roster: Roster, account: string): Roster {
  const { answers, lapses } = answeringOf(roster, account);
  return answers > 0 || lapses > 0 ? roster : { ...roster, answering: roster.answering.delete(account) };
}

/** The member as what its account has shown makes it. */
function withProof(roster: Roster, member: Member): Member {
  const proven = provenOf(roster, member);
  return member.proven === proven ? member : { ...member, proven };
}

function withGateway(gateways: readonly WorkerId[], worker: WorkerId, member: Member | undefined): readonly WorkerId[] {
  if (!member) return gateways.filter((other) => other !== worker);
  return gateways.includes(worker) ? gateways : [...gateways, worker];
}

/** The roster with a member added, changed or, where it is undefined, removed. */
export function withMember(roster: Roster, worker: WorkerId, changed: Member | undefined): Roster {
  const { members } = roster;
  const before = members.get(worker);
  const after = changed && withProof(roster, withLeases(before, changed));
  const group = (proven: boolean) =>
    regrouped(
      proven ? roster.proven : roster.unproven,
      roster,
      worker,
      before?.proven === proven ? before : undefined,
      after?.proven === proven ? after : undefined,
    );
  const touches = (proven: boolean) => before?.proven === proven || after?.proven === proven;
  return {
    ...roster,
    members: after ? members.set(worker, after) : members.delete(worker),
    gateways: before?.gateway || after?.gateway ? withGateway(roster.gateways, worker, after) : roster.gateways,
    proven: touches(true) ? group(true) : roster.proven,
    unproven: touches(false) ? group(false) : roster.unproven,
  };
}

/** The map with an entry more; of too many one is forgotten. */
function remembering<V>(map: PersistentMap<string, V>, key: string, value: V): PersistentMap<string, V> {
  const oldest = map.size >= REMEMBERED && map.get(key) === undefined ? map.drawn(0)?.[0] : undefined;
  return (oldest === undefined ? map : map.delete(oldest)).set(key, value);
}

/** The roster after an account has shown more of itself; a `lapse` is its address's too. */
export function withAnswering(
  roster: Roster,
  { account, address }: Pick<Member, "account" | "address">,
  change: (before: Answering) => Answering,
): Roster {
  const before = answeringOf(roster, account);
  const after = change(before);
  let next: Roster = { ...roster, answering: remembering(roster.answering, account, after) };
  const more = after.lapses - before.lapses;
  if (address !== null && more !== 0) {
    const lapses = Math.max(0, (roster.lapses.get(address) ?? 0) + more);
    next = {
      ...next,
      lapses: lapses > 0 ? remembering(roster.lapses, address, lapses) : roster.lapses.delete(address),
    };
  }
  const workers = roster.proven.accounts.get(account) ?? roster.unproven.accounts.get(account) ?? [];
  for (const worker of workers) {
    const member = next.members.get(worker);
    if (member && withProof(next, member) !== member) next = withMember(next, worker, member);
  }
  return next;
}

/** The roster with a worker that joins. */
export function withNewcomer(roster: Roster, worker: WorkerId, facts: MemberFacts = {}): Roster {
  const member = newMember(worker, facts);
  const trusted = facts.own === true || facts.unproven !== true;
  const shown = roster.answering.get(member.account);
  // Whoever started the run answers for its own, whatever became of the one before.
  const begins = trusted && (shown === undefined || (member.own && shown.lapses === 0));
  const next = begins ? withAnswering(roster, member, () => known) : roster;
  return withMember(next, worker, member);
}

/** The roster in which an account is at so many gateways, of which this is one. */
export function withSpread(roster: Roster, account: string, gateways: number): Roster {
  const { spread } = roster;
  if ((spread.get(account) ?? 1) === Math.max(1, gateways)) return roster;
  return { ...roster, spread: gateways > 1 ? remembering(spread, account, gateways) : spread.delete(account) };
}

/** The roster with fields of a member changed; nothing where there is no such member. */
export function updated(roster: Roster, worker: WorkerId, change: Partial<Member>): Roster {
  const member = roster.members.get(worker);
  return member ? withMember(roster, worker, { ...member, ...change }) : roster;
}

/**
 * The roster at the opening of a round: sums are of its phase, who was expected all through the round before is so no
 * longer, and who waited through it was left out once more.
 */
export function atRound(roster: Roster, phase: string, round: number): Roster {
  const members = roster.members.map((member) => {
    const { ticket, leases, expected, leftOut, open } = member;
    const gone = expected !== null && expected < round - 1;
    const waits = ticket !== null && leases.length === 0;
    if (!gone && !waits && open === undefined) return member;
    return {
      ...member,
      expected: gone ? null : expected,
      leftOut: waits ? leftOut + 1 : leftOut,
      // What it said was of the round before.
      open: undefined,
    };
  });
  let [proven, unproven] = [nobody, nobody];
  members.forEach((member) => {
    if (!isActive(member)) return;
    if (member.proven) proven = exchanged(proven, phase, undefined, member);
    else unproven = exchanged(unproven, phase, undefined, member);
  });
  return {
    ...roster,
    phase,
    round,
    members,
    proven: { ...roster.proven, active: proven, unserved: proven },
    unproven: { ...roster.unproven, active: unproven, unserved: unproven },
  };
}

/**
 * Speeds of a crew, the unknown counted as the mean of the known; `mean` of the known is any positive number where
 * there is none.
 */
export function totalSpeed({ count, known, speed }: Crew): { readonly mean: number; readonly total: number } {
  const mean = known === 0 ? 1 : Math.max(speed / known, Number.MIN_VALUE);
  return { mean, total: Math.max(speed, 0) + (count - known) * mean };
}
