// A lease: a range of the round that one worker computes, to be counted or, as a copy, to be compared, or as a spare
// that nobody waits for.

import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";

/** A copy of a range whose answer is compared and not added: an `audit` goes to anybody but those that `answered`. */
export interface CopyWanted {
  readonly purpose: "audit";
  /** The lease that is audited. */
  readonly of: LeaseId;
  readonly from: number;
  readonly to: number;
  /** Accounts that answered; with two or more, which differ, this answer may decide. */
  readonly answered: readonly string[];
  /** Accounts that are drawn only where no others are. */
  readonly distrusted: ReadonlySet<string>;
  /** A u32 that decides who computes it. */
  readonly draw: number;
  /** The operator's own workers are to compute it, where they are. */
  readonly own?: boolean;
  /** The round waits for it as for one that decides: nobody has confirmed the account that is audited. */
  readonly awaited?: boolean;
  /** Another gateway's account is to compute it. */
  readonly away?: true;
  /** It decides another gateway's audit: the number under which it was ordered. */
  readonly order?: number;
}

export interface LeaseTerm {
  readonly lease: LeaseId;
  readonly worker: WorkerId;
  /** Who answers for the worker. */
  readonly account: string;
  /** Slots [from, to) of the round (slots.ts). */
  readonly from: number;
  readonly to: number;
  /** Milliseconds, as `now`. */
  readonly grantedAt: number;
  /** When the worker was done with the lease before this one; null until then. */
  readonly startedAt: number | null;
  /** Infinity until it is started. */
  readonly expires: number;
  /** When its contribution came, which is being checked: it neither expires nor is lent to another. Null until then. */
  readonly receivedAt: number | null;
  /** When its holder's speed lets expect the answer; null where no speed was known as it was granted. */
  readonly endsAt: number | null;
  /** Its holder is a gateway. */
  readonly gateway?: true;
  /** It takes too long for its holder's speed, or its holder's connection is lost: nobody knows when it ends. */
  readonly overdue: boolean;
}

/**
 * `work` and `backup` count: whichever of two that share a range, each the other's `twin`, is answered first. `lent`: a
 * twin has expired, so the range is not lent again as it is, but leased anew in pieces that fit. `doubt`: nobody knows
 * whether its holder answers; its number in the order in which spares of such leases are lent.
 */
export type WorkLease = LeaseTerm & {
  readonly purpose: "work" | "backup";
  readonly twin: LeaseId | null;
  readonly lent: boolean;
  readonly doubt?: number | null;
};

/**
 * Nobody waits for a spare: its range is leased to others as if nobody held it, and its answer counts where no other
 * does. `of`: the lease whose whole range it is, if it is one's.
 */
export type SpareLease = LeaseTerm & { readonly purpose: "spare"; readonly of: LeaseId | null };

export type AuditLease = LeaseTerm & { readonly purpose: "audit"; readonly copy: CopyWanted };

export type Lease = WorkLease | SpareLease | AuditLease;

/** Whether its answer is to be added, rather than to be compared or to count perhaps. */
export function counts(lease: Lease): lease is WorkLease {
  return lease.purpose === "work" || lease.purpose === "backup";
}
