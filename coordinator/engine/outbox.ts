// The way from the rounds to the workers; sessions implement it.

import type { Refusal } from "../../shared/base/errors.ts";
import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { CancelReason } from "../../shared/wire/protocol.ts";
import type { Lease } from "../round/state.ts";
import type { RoundPlan } from "../training/round-plan.ts";

export interface Outbox {
  /** Hands over a lease, and before it the parameters where this worker has not been sent them. */
  lease(worker: WorkerId, lease: Lease, plan: RoundPlan): void;
  accepted(worker: WorkerId, lease: LeaseId, samples: number): void;
  rejected(worker: WorkerId, lease: LeaseId, refusal: Refusal): void;
  /** The worker no longer holds the lease, and is told why. */
  cancelled(worker: WorkerId, lease: LeaseId, reason: CancelReason): void;
}
