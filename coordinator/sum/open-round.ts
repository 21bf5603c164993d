// What trust knows of a round: never what its contributions are in numbers, but how any two of them compare.

import type { Comparison } from "./comparison.ts";
import type { HeldWork, UsualPeak } from "./contribution.ts";

/** An answer to an audited range. */
export interface AuditedWork {
  readonly work: HeldWork;
  /** Kind of device: adapter and runtime. */
  readonly deviceClass: string;
}

export interface OpenRound {
  readonly phase: string;
  readonly codec: string;
  /** Of two answers to one audit, the later of which has come. */
  readonly compared: (a: AuditedWork, b: AuditedWork) => Comparison;
  /** What is usual of the peaks of each tensor of the layout. */
  readonly peaks: readonly UsualPeak[];
  /** What the frame of one contribution takes. */
  readonly contributionBytes: number;
  /** Accounts that take part now. */
  readonly accounts: () => number;
  /** Whether an account is the operator's own. */
  readonly own: (account: string) => boolean;
  /** Whether one of the operator's own takes part now. */
  readonly ownTakesPart: () => boolean;
  /** Leases are inner steps of replicas, and what they change grows with them. */
  readonly replicas: boolean;
}
