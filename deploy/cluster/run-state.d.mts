// The type of run-state.mjs, which runs without a compiler.

/** A line of commits.ndjson, as far as it is read. */
export interface LogLine {
  readonly type: string;
  readonly step: number;
  readonly fromStep: number;
  readonly pass: number;
  readonly phase: string;
  readonly ranges: readonly (readonly [number, number])[];
  readonly samples: number;
  readonly paramsHash: string;
  readonly network: string;
  readonly value: number;
  readonly fence: number;
  readonly h: string;
}

/** What one coordinator's folder tells. */
export interface ToldRun {
  readonly name: string;
  readonly lines: readonly LogLine[];
  /** Steps that stand. */
  readonly standing: readonly LogLine[];
  /** Text of history.ndjson; empty where there is none. */
  readonly history: string;
}

export function readHistory(text: string): {
  readonly steps: ReadonlyMap<number, ReadonlyMap<string, number | null>>;
  readonly evaluations: ReadonlyMap<string, number>;
};
export function sumProblems(runs: readonly ToldRun[]): {
  readonly problems: readonly string[];
  /** Steps of pairs of coordinators. */
  readonly compared: number;
};
export function evaluationProblems(runs: readonly ToldRun[]): readonly string[];
export function checkpointProblems(
  folder: string,
  standing: readonly LogLine[],
): { readonly problems: readonly string[]; readonly checkpoints: number };
/** Samples of a step; undefined where a step may leave some to the next, or there is no checkpoint that says it. */
export function completeBatch(folder: string): number | undefined;
