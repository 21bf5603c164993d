// What those who watch a run see beside its status, and what whoever runs it may ask for: both are data.

import type { WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import type { AdapterDescription, HelloMessage } from "../../shared/wire/protocol.ts";

/**
 * What a worker does, as far as the rounds know: `preparing` until it has asked for a lease, `waiting` for one or about
 * to ask, `checking` while its answer is looked at, `resting` while it wants none or its account may have none, `away`
 * while its connection is lost.
 */
export type WorkerActivity = "preparing" | "waiting" | "computing" | "checking" | "resting" | "away";

export interface WorkerWatch {
  readonly worker: WorkerId;
  /** SHA-256 of its public key. */
  readonly account: string;
  readonly name: string;
  readonly runtime: HelloMessage["runtime"];
  readonly adapter: AdapterDescription;
  /** Started by whoever started the run. */
  readonly own: boolean;
  readonly activity: WorkerActivity;
  /** What it holds takes longer than its speed lets expect. */
  readonly overdue: boolean;
  /** It gets nothing more, and is let go when it has answered what it holds. */
  readonly draining: boolean;
  /** In the phase at hand; null where nothing was measured. */
  readonly samplesPerSecond: number | null;
  /** Leases that it holds, and their samples. */
  readonly leases: number;
  readonly held: number;
  /** Samples of its answers that were accepted. */
  readonly samples: number;
  /** Audits in a row that others confirmed, and those that were decided against its account; null without audits. */
  readonly audits: { readonly confirmed: number; readonly against: number } | null;
}

/** Where the pass at hand stands; positions of the pass, or of the split that is evaluated. */
export interface PassWatch {
  /** Of the phase, in words. */
  readonly title: string;
  readonly samples: number;
  readonly committed: readonly Range[];
  /** Collected in the round at hand, and not yet committed. */
  readonly collected: readonly Range[];
  /** Held by workers, and not yet answered. */
  readonly leased: readonly Range[];
}

export interface RunWatch {
  /** `soon`: once the step in hand is done. */
  readonly paused: "no" | "soon" | "yes";
  /** Nobody drives it: said by its folder alone. */
  readonly stopped?: boolean;
  /** Of the newest checkpoint; null before the first. */
  readonly checkpointStep: number | null;
  /** One was asked for, and comes with the end of the step in hand. */
  readonly checkpointWanted: boolean;
  readonly pass: PassWatch;
  /** Those who take part. */
  readonly workers: readonly WorkerWatch[];
}

export type OperatorCommand =
  /** The step in hand is finished; then nothing is leased until the run is told to go on. */
  | { readonly type: "pause" }
  | { readonly type: "go-on" }
  /** A checkpoint is written when the step in hand is done. */
  | { readonly type: "checkpoint" }
  /** The step in hand is finished, and the run ends: for all who drive it, where several do. */
  | { readonly type: "stop" }
  /** The worker is leased nothing more, and let go when it has answered what it holds. */
  | { readonly type: "drain"; readonly worker: WorkerId };
