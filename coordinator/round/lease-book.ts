// The live leases of a round and what is looked up of them without a look at each, kept in step.

import type { LeaseId } from "../../shared/base/ids.ts";
import type { Lease, RoundState } from "./state.ts";

/** Whether another may compute the lease's range too: not yet two of them, and `ending`, or nobody knows when it ends. */
export function mayBackUp(lease: Lease, ending: boolean): boolean {
  if (!("twin" in lease) || lease.twin !== null || lease.lent || lease.receivedAt !== null) return false;
  return ending || lease.overdue;
}

function booked(state: RoundState, id: LeaseId, lease: Lease | undefined): RoundState {
  const before = state.leases.get(id);
  const leases = lease ? state.leases.set(id, lease) : state.leases.delete(id);
  let { overdue, checking } = state;
  const [was, is] = [before && mayBackUp(before, false), lease && mayBackUp(lease, false)];
  if (is && !was) overdue = overdue.set(id, id);
  if (was && !is) overdue = overdue.delete(id);
  if (lease && lease.receivedAt !== null) checking++;
  if (before && before.receivedAt !== null) checking--;
  return { ...state, leases, overdue, checking };
}

/** The state with a lease added or changed. */
export function withLease(state: RoundState, lease: Lease): RoundState {
  return booked(state, lease.lease, lease);
}

/** The state without a lease. */
export function withoutLease(state: RoundState, id: LeaseId): RoundState {
  return booked(state, id, undefined);
}
