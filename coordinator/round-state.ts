// The state of one round, the events that move it and the effects that follow. Immutable: a decision keeps the state it saw.

import type { ErrorCode } from "../shared/errors.ts";
import type { LeaseId, WorkerId } from "../shared/ids.ts";
import { emptyIntervals, type IntervalSet, type Range } from "../shared/intervals.ts";
import type { Speeds } from "./lease-sizing.ts";

/**
 * `joined`: has asked for nothing, or paused. `ready`: waits for a lease. `busy`: holds one. `expected`: was just
 * answered and will ask again.
 */
export type WorkerActivity = "joined" | "ready" | "busy" | "expected";

export interface Lease {
  readonly lease: LeaseId;
  readonly worker: WorkerId;
  readonly from: number;
  readonly to: number;
  /** Milliseconds, as `now`. */
  readonly grantedAt: number;
  readonly expires: number;
}

export interface RoundOptions {
  /** Samples of a microbatch: every lease starts at a multiple of it. */
  readonly microbatch: number;
  readonly maxMicrobatches: number;
  readonly timeoutMs: number;
}

/** What goes on from one round to the next. */
export interface RoundMembers {
  /** In the order in which they last asked. */
  readonly workers: ReadonlyMap<WorkerId, WorkerActivity>;
  readonly nextLease: number;
}

export interface RoundState extends RoundMembers {
  readonly phase: "open" | "collecting" | "sealed" | "applied" | "committed";
  readonly round: number;
  readonly range: Range;
  readonly options: RoundOptions;
  /** What nobody holds; ranges that came back are at the head. */
  readonly unleased: readonly Range[];
  readonly leases: ReadonlyMap<LeaseId, Lease>;
  readonly collected: IntervalSet;
  readonly speeds: Speeds;
  /** Reports of gradients that are not finite, and who made them. */
  readonly notFinite: { readonly reports: number; readonly workers: ReadonlySet<WorkerId> };
}

/** Why a range went back to the queue. */
export type RequeueCause = "expired" | "returned" | "left" | "refused";

export type RoundEvent =
  | { readonly type: "worker-joined"; readonly worker: WorkerId }
  | { readonly type: "worker-ready"; readonly worker: WorkerId }
  | { readonly type: "worker-paused"; readonly worker: WorkerId }
  | { readonly type: "worker-left"; readonly worker: WorkerId }
  /** The bytes were checked and summed before, by `contributionVerdict`'s leave. */
  | { readonly type: "contribution"; readonly worker: WorkerId; readonly lease: LeaseId; readonly samples: number }
  | ({ readonly type: "contribution-refused"; readonly worker: WorkerId; readonly lease: LeaseId } & Refusal)
  | { readonly type: "lease-returned"; readonly worker: WorkerId; readonly lease: LeaseId; readonly notFinite: boolean }
  | { readonly type: "tick" }
  | { readonly type: "applied" }
  | { readonly type: "committed" }
  /** The run stops: what was collected is given up. */
  | { readonly type: "dropped" };

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

export type RoundEffect =
  | ({ readonly type: "grant" } & Lease)
  | { readonly type: "wait"; readonly worker: WorkerId }
  | { readonly type: "accept"; readonly worker: WorkerId; readonly lease: LeaseId; readonly samples: number }
  | ({ readonly type: "reject"; readonly worker: WorkerId; readonly lease: LeaseId } & Refusal)
  | ({ readonly type: "requeue"; readonly cause: RequeueCause } & Lease)
  | { readonly type: "seal"; readonly ranges: readonly Range[] }
  /** Every worker that takes part says that the gradient is not finite. */
  | { readonly type: "diverged"; readonly reports: number };

/** A state before the first round: workers may come, nothing is leased. */
export function beforeRounds(): RoundState {
  return {
    phase: "committed",
    round: 0,
    range: { from: 0, to: 0 },
    options: { microbatch: 1, maxMicrobatches: 1, timeoutMs: 1 },
    unleased: [],
    leases: new Map(),
    collected: emptyIntervals,
    workers: new Map(),
    nextLease: 1,
    speeds: new Map(),
    notFinite: { reports: 0, workers: new Set() },
  };
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
  if (lease < state.nextLease) {
    return {
      code: "CONTRIBUTION_STALE",
      message: `lease ${lease} is over: it expired or was answered; ask for another`,
    };
  }
  return { code: "LEASE_UNKNOWN", message: `lease ${lease} was never granted; the newest is ${state.nextLease - 1}` };
}
