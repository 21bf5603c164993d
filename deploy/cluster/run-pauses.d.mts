// The type of run-pauses.mjs, which runs without a compiler.

/** What a coordinator wrote: the texts of its history.ndjson and events.ndjson, empty where there is none. */
export interface Told {
  readonly history: string;
  readonly events: string;
}

export interface Pause {
  /** The step that ended it. */
  readonly step: number;
  readonly ms: number;
}

export interface Led {
  readonly id: string;
  readonly epoch: number;
  /** Committed steps when it began. */
  readonly step: number;
}

export function longestPauses(told: readonly Told[]): readonly Pause[];
export function whoLed(told: readonly Told[]): readonly Led[];
/** In words; empty where all is well. */
export function leadProblems(led: readonly Led[]): readonly string[];
