// What trust knows of a round: never what its contributions are in numbers, but how any two of them compare.

import type { RoundKind } from "../../shared/wire/contribution.ts";
import type { Comparison } from "./comparison.ts";
import type { Contribution } from "./contribution.ts";

/** A contribution that was checked and is in no sum yet. */
export interface HeldWork extends Contribution {
  readonly samples: number;
  /** Of its gradients; see clip-rule.ts. */
  readonly scale: number;
}

/** An answer to an audited range. */
export interface AuditedWork {
  readonly work: HeldWork;
  /** Kind of device: adapter and runtime. */
  readonly deviceClass: string;
}

export interface OpenRound {
  readonly kind: RoundKind;
  readonly codec: string;
  /** Of two answers to one audit, the later of which has come. */
  readonly compared: (a: AuditedWork, b: AuditedWork) => Comparison;
  /** What is usual of the peaks of each tensor of the layout. */
  readonly peaks: readonly UsualPeak[];
  /** Of one frame. */
  readonly contributionBytes: number;
  /** Accounts that take part now. */
  readonly accounts: () => number;
}

/** Of one tensor, in the layout's order. */
export interface UsualPeak {
  readonly name: string;
  /** The largest that the unit was chosen for; infinite where none was ever seen. */
  readonly largest: number;
  /** Reports are magnitudes, of which the largest counts; else means of magnitudes, of which the median does. */
  readonly magnitude: boolean;
}
