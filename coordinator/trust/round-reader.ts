// How trust reads a round's contributions: what they are in numbers, without knowing the codec.

import type { GradientCodec } from "../../shared/wire-layout.ts";
import type { Contribution } from "../round/contribution-check.ts";
import type { Comparison } from "./comparison.ts";
import type { RobustTerms } from "./robust-round.ts";

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

export interface RoundReader extends RobustTerms {
  readonly codec: GradientCodec;
  /** Integers of a contribution, each a multiple of its tensor's unit; the caller's to keep. */
  readonly unitsOf: (work: HeldWork) => Float64Array<ArrayBuffer>;
  /** What is known already of two contributions, which else are read and compared. */
  readonly known?: (a: HeldWork, b: HeldWork) => Comparison | undefined;
  /** What is usual of the peaks of each tensor of the layout. */
  readonly peaks: readonly UsualPeak[];
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
