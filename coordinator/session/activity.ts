// What a joined worker does, and what follows from its words and from what becomes of its leases (SPEC.md, S).

import type { LeaseId } from "../../shared/base/ids.ts";

/** Leases of one worker: the one that it computes, and the one that it goes on with. */
const LEASES_HELD = 2;

/** What a joined worker does. */
export type Activity =
  | { readonly kind: "idle" }
  | { readonly kind: "waiting" }
  /** One or two; `waiting`: it has asked for one more. */
  | { readonly kind: "leased"; readonly leases: readonly LeaseId[]; readonly waiting: boolean }
  | { readonly kind: "paused" };

/** Leases in hand, the oldest first. */
export function leasesOf(activity: Activity): readonly LeaseId[] {
  return activity.kind === "leased" ? activity.leases : [];
}

export function isHolding(activity: Activity, lease: number): boolean {
  return leasesOf(activity).some((held) => held === lease);
}

/** Whether it has asked for a lease that it has not got. */
export function isWaiting(activity: Activity): boolean {
  return activity.kind === "waiting" || (activity.kind === "leased" && activity.waiting);
}

export function withLease(activity: Activity, lease: LeaseId): Activity {
  return { kind: "leased", leases: [...leasesOf(activity), lease], waiting: false };
}

/** After a lease is over; one that is not in hand changes nothing. */
export function withoutLease(activity: Activity, lease: LeaseId): Activity {
  if (activity.kind !== "leased") return activity;
  const leases = activity.leases.filter((held) => held !== lease);
  const { waiting } = activity;
  if (leases.length > 0) return { kind: "leased", leases, waiting };
  return { kind: waiting ? "waiting" : "idle" };
}

/**
 * After it has asked for a lease; undefined where it holds as many as it may have without or, `ahead`, with another.
 */
export function asked(activity: Activity, ahead: boolean): Activity | undefined {
  const leases = leasesOf(activity);
  if (leases.length === 0) return { kind: "waiting" };
  return ahead && leases.length < LEASES_HELD ? { kind: "leased", leases, waiting: true } : undefined;
}
