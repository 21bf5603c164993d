// The way from an engine to the workers; sessions implement it. Every argument is data.

import type { Refusal } from "../../shared/base/errors.ts";
import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { CancelReason, LeaseMessage } from "../../shared/wire/protocol.ts";
import type { ParameterVersion } from "../training/parameter-version.ts";

/** Of a worker that is not there any more nothing happens: it may have left while this was on its way. */
export interface Outbox {
  /**
   * Hands over a lease, and before it the parameters that this worker has not been sent. The engine has their frames by
   * name.
   */
  lease(worker: WorkerId, lease: LeaseMessage, parameters: readonly ParameterVersion[]): void;
  accepted(worker: WorkerId, lease: LeaseId, samples: number): void;
  rejected(worker: WorkerId, lease: LeaseId, refusal: Refusal): void;
  /** The worker no longer holds the lease, and is told why. */
  cancelled(worker: WorkerId, lease: LeaseId, reason: CancelReason): void;
  /** Others contradict the worker's account: it is leased nothing for so long, and told so. */
  rests(worker: WorkerId, ms: number): void;
  /**
   * A lease that is audited was answered, which the worker could not know before: perhaps its GPU is asked for a sum,
   * too.
   */
  audited(worker: WorkerId): void;
  /** The worker has answered what it held, and is let go: whoever runs this asked for that. */
  dismissed(worker: WorkerId): void;
}
