// The state of one round, the events that move it and the effects that follow. Immutable: a decision keeps the state it
// saw.

import type { Refusal } from "../../shared/base/errors.ts";
import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import { emptyIntervals, type IntervalSet, type Range } from "../../shared/base/intervals.ts";
import { OrderedMap } from "../../shared/base/ordered-map.ts";
import type { CancelReason } from "../../shared/wire/protocol.ts";
import { AuditCopies } from "./audit-copies.ts";
import { BACKUP_FROM, type SealMode } from "./deadline.ts";
import type { CopyWanted, Lease, WorkLease } from "./lease.ts";
import { PersistentMap } from "./persistent-map.ts";
import { emptyRoster, type MemberFacts, REMEMBERED_LEASES, type Roster } from "./roster.ts";

/** Reports of one round that a gradient is not finite. */
export interface NotFinite {
  readonly reports: number;
  /** When the first came; null before. */
  readonly since: number | null;
  /** Whose they are. */
  readonly accounts: ReadonlySet<string>;
}

export const allFinite: NotFinite = { reports: 0, since: null, accounts: new Set() };

export interface RoundOptions {
  /** Samples of a microbatch: every lease starts at a multiple of it. */
  readonly microbatch: number;
  readonly maxMicrobatches: number;
  /** A lease expires so long after its start. */
  readonly timeoutMs: number;
  /** The round is late so long after its first lease; see deadline.ts. */
  readonly deadlineMs: number;
  /** No round is late before. */
  readonly minDeadlineMs: number;
  readonly seal: SealMode;
  /** A worker may hold the lease that it goes on with. */
  readonly ahead: boolean;
  /** A worker's share of the round is one lease, as far as limits allow: `sync: local`, where a lease is a replica. */
  readonly oneLease: boolean;
  /** Share of the round's samples that one account may hold, where there are ten accounts; 1 is no limit. */
  readonly shareLimit: number;
  /** Of a worker's share of what nobody holds, a lease is one in so many. */
  readonly pieces: number;
  /** Microbatches of the first lease of a worker whose speed is unknown. */
  readonly first: number;
  /** A round of the kind was before. */
  readonly hasHistory: boolean;
  /** Steps before hold strangers' work, and may be undone. */
  readonly suspects?: boolean;
  /** Samples of the round of which this is a gateway's part, and accounts' shares are of; its own unless given. */
  readonly whole?: number;
  /** More may be wanted yet: all of it is no reason to end before `closed`. */
  readonly growing?: boolean;
}

/** What goes on from one round to the next. */
export interface RoundMembers {
  readonly roster: Roster;
  readonly nextLease: number;
  /** Samples that each account holds or has answered. */
  readonly samplesByAccount: PersistentMap<string, number>;
  /** Accounts whose work counted in the last round before in which any did. */
  readonly witnesses: ReadonlySet<string>;
}

export interface RoundState extends RoundMembers {
  readonly phase: "open" | "collecting" | "sealed" | "applied" | "committed";
  readonly round: number;
  /** Samples of the round. */
  readonly wanted: number;
  readonly options: RoundOptions;
  /** When the first lease was granted. */
  readonly since: number | null;
  /** What nobody holds; ranges that came back are at the head. */
  readonly unleased: readonly Range[];
  readonly leases: PersistentMap<LeaseId, Lease>;
  /** Leases that are overdue, and that another may be lent: by number. */
  readonly overdue: OrderedMap<LeaseId>;
  /** Leases that count whose holders nobody knows to answer, in the order in which spares of them are lent. */
  readonly doubtful: OrderedMap<LeaseId>;
  /** How many of the leases are spares. */
  readonly spares: number;
  /** Spares that the unproven were lent in this round. */
  readonly trials: number;
  /** When the last answer came that counts. */
  readonly answeredAt: number | null;
  /** Leases whose contribution is being checked. */
  readonly checking: number;
  readonly collected: IntervalSet;
  /** Since when all samples are there. */
  readonly wholeSince: number | null;
  /** Since when no more is to come to a round that grew. */
  readonly closedSince: number | null;
  /**
   * The last grants were as many as one turn of the event loop has time for: the others are granted with the next
   * `go-on`.
   */
  readonly grantsPending: boolean;
  /** Copies that nobody computes yet. */
  readonly copies: AuditCopies;
  /** Copies that another gateway's accounts compute. */
  readonly away: readonly CopyWanted[];
  /** Reports of gradients that are not finite. */
  readonly notFinite: NotFinite;
}

/** Why a lease ended without an answer. */
export type RequeueCause = "expired" | "returned" | "left" | "refused" | "rests";

export type RoundEvent =
  | ({ readonly type: "worker-joined"; readonly worker: WorkerId } & MemberFacts)
  /** `ahead`: it holds a lease and would go on with another. */
  | {
      readonly type: "worker-ready";
      readonly worker: WorkerId;
      readonly ahead?: boolean;
      readonly maxMicrobatches?: number;
    }
  | { readonly type: "worker-paused"; readonly worker: WorkerId }
  /** It finishes what it holds, and gets nothing more before its next `ready`. */
  | { readonly type: "worker-drained"; readonly worker: WorkerId }
  | { readonly type: "worker-left"; readonly worker: WorkerId }
  /** Others contradicted the account: its workers are leased nothing until they have rested, or say `ready` later. */
  | { readonly type: "account-rests"; readonly account: string }
  | { readonly type: "worker-rested"; readonly worker: WorkerId }
  /** Its connection is lost and may come back: it keeps what it holds, and others may compute that too. */
  | { readonly type: "worker-suspended"; readonly worker: WorkerId }
  | { readonly type: "worker-resumed"; readonly worker: WorkerId }
  /** The bytes are here; what they are worth follows. */
  | { readonly type: "contribution-received"; readonly worker: WorkerId; readonly lease: LeaseId }
  /** The bytes are good, by `contributionVerdict` too; they count where an `accept` follows. */
  | { readonly type: "contribution"; readonly worker: WorkerId; readonly lease: LeaseId; readonly samples: number }
  | ({ readonly type: "contribution-refused"; readonly worker: WorkerId; readonly lease: LeaseId } & Refusal)
  /** An accepted contribution is not believed any more and has been taken out of the sum. */
  | {
      readonly type: "contribution-withdrawn";
      readonly account: string;
      readonly from: number;
      readonly to: number;
      /** Nobody is leased anything for it yet. */
      readonly quiet?: true;
    }
  | { readonly type: "lease-returned"; readonly worker: WorkerId; readonly lease: LeaseId; readonly notFinite: boolean }
  | { readonly type: "copy-wanted"; readonly copy: CopyWanted }
  /** A copy is computed at another gateway; it is not waited for any more. */
  | { readonly type: "copy-away"; readonly copy: CopyWanted }
  | { readonly type: "copy-over"; readonly copy: CopyWanted }
  /** A round that grows wants these too, or no more of some than is begun of them; `closed`: no more is to come. */
  | {
      readonly type: "extended";
      readonly ranges: readonly Range[];
      /** Into which shares are cut from now on; as before unless given. */
      readonly pieces?: number;
    }
  | { readonly type: "narrowed"; readonly ranges: readonly Range[] }
  | { readonly type: "closed" }
  /** A gateway has a sum of these ranges, which may end within leases. */
  | { readonly type: "lease-split"; readonly worker: WorkerId; readonly ranges: readonly Range[] }
  /** A gateway gives back a part of a lease that it has not begun. */
  | {
      readonly type: "lease-trimmed";
      readonly worker: WorkerId;
      readonly lease: LeaseId;
      readonly from: number;
      readonly to: number;
    }
  /** A gateway holds these ranges from a leader before. */
  | { readonly type: "adopted"; readonly worker: WorkerId; readonly ranges: readonly Range[] }
  /** An account is at so many gateways, of which this is one: they share what it may hold. */
  | { readonly type: "account-spread"; readonly account: string; readonly gateways: number }
  /** What a gateway's volunteers come to now. */
  | {
      readonly type: "stated";
      readonly worker: WorkerId;
      readonly room: number;
      readonly speed?: number | undefined;
      /** Samples of its leases that nobody there has answered; undefined where it does not say. */
      readonly open?: number | undefined;
    }
  | { readonly type: "tick" }
  /** The turn after a decision with the effect `more`. */
  | { readonly type: "go-on" }
  | { readonly type: "applied" }
  | { readonly type: "committed" }
  /** The run stops: what was collected is given up. */
  | { readonly type: "dropped" };

export type RoundEffect =
  | { readonly type: "grant"; readonly lease: Lease }
  /** The answer to what was a spare has come, and will count: it is such a lease from now on. */
  | { readonly type: "claim"; readonly lease: WorkLease }
  | { readonly type: "wait"; readonly worker: WorkerId }
  /** There is more to grant than one turn has time for: `go-on` is due. */
  | { readonly type: "more" }
  /** Counts, or is compared where the lease's purpose is that. `offsetMs` from the round's first lease. */
  | { readonly type: "accept"; readonly lease: Lease; readonly samples: number; readonly offsetMs: number }
  | ({ readonly type: "reject"; readonly worker: WorkerId; readonly lease: LeaseId } & Refusal)
  /** Nobody who takes part can compute a copy that was ordered for another gateway's audit. */
  | { readonly type: "decline"; readonly order: number }
  /** The lease is over; `again`: its range is back in the queue, and nobody else computes it. */
  | { readonly type: "lapse"; readonly cause: RequeueCause; readonly lease: Lease; readonly again: boolean }
  /** The worker shall stop computing the lease. */
  | { readonly type: "cancel"; readonly reason: CancelReason; readonly lease: Lease }
  | { readonly type: "seal"; readonly ranges: readonly Range[] }
  /** Those who can tell say that the gradient is not finite; `own`: the operator's own workers among them. */
  | { readonly type: "diverged"; readonly reports: number; readonly own: boolean };

/** A part of a decision. */
export interface RoundChange {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
}

/** A state before the first round: workers may come, nothing is leased. @param firstLease number of the first lease */
export function beforeRounds(firstLease = 1): RoundState {
  return {
    phase: "committed",
    round: 0,
    wanted: 0,
    options: {
      microbatch: 1,
      maxMicrobatches: 1,
      timeoutMs: 1,
      deadlineMs: 1,
      minDeadlineMs: 1,
      seal: "complete",
      ahead: false,
      oneLease: false,
      shareLimit: 1,
      pieces: 1,
      first: Number.POSITIVE_INFINITY,
      hasHistory: true,
    },
    since: null,
    unleased: [],
    leases: PersistentMap.of(),
    overdue: OrderedMap.of(),
    doubtful: OrderedMap.of(),
    spares: 0,
    trials: 0,
    answeredAt: null,
    checking: 0,
    collected: emptyIntervals,
    wholeSince: null,
    closedSince: null,
    grantsPending: false,
    samplesByAccount: PersistentMap.of(),
    copies: AuditCopies.of(),
    away: [],
    roster: emptyRoster(),
    nextLease: firstLease,
    witnesses: new Set(),
    notFinite: allFinite,
  };
}

/** Whether the round collects: leases can be granted and answered. */
export function isLive({ phase }: RoundState): boolean {
  return phase === "open" || phase === "collecting";
}

/** Whether the round is later than those before it let expect. */
export function isLate(now: number, { since, options }: RoundState): boolean {
  return since !== null && now >= since + options.deadlineMs;
}

/** Where no round of a kind tells when one is late: so many times as long as all answers took, none has come. */
const QUIET = 2;

/** Milliseconds after which idle workers are lent what others have not answered, whoever they are. */
export function lendingMs({ since, options, answeredAt }: RoundState): number {
  const { hasHistory, deadlineMs, minDeadlineMs } = options;
  const usual = BACKUP_FROM * deadlineMs;
  if (hasHistory || since === null || answeredAt === null) return usual;
  return Math.min(usual, Math.max(BACKUP_FROM * minDeadlineMs, QUIET * (answeredAt - since)));
}

/** Whether the round is so late that idle workers are lent all that others have not answered. */
export function isEnding(now: number, state: RoundState): boolean {
  return state.since !== null && now >= state.since + lendingMs(state);
}

/** The live lease that a contribution of `samples` answers, or why it cannot count. */
export function contributionVerdict(
  state: RoundState,
  worker: WorkerId,
  lease: LeaseId,
  samples: number,
): Lease | Refusal {
  const live = state.leases.get(lease);
  if (live?.worker === worker) {
    const wanted = live.to - live.from;
    if (samples === wanted) return live;
    return {
      code: "CONTRIBUTION_MISMATCH",
      message: `lease ${lease} is of ${wanted} samples; the contribution has ${samples}`,
    };
  }
  if (live) return { code: "LEASE_UNKNOWN", message: `lease ${lease} belongs to another worker than ${worker}` };
  if (state.roster.members.get(worker)?.had.includes(lease)) {
    return {
      code: "CONTRIBUTION_STALE",
      message: `lease ${lease} is over: it expired, was cancelled or was answered; ask for another`,
    };
  }
  return {
    code: "LEASE_UNKNOWN",
    message: `lease ${lease} is none of the last ${REMEMBERED_LEASES} that ${worker} was granted; answer the lease in hand`,
  };
}
