// How fast the run goes, and how long what is left will take: a moving average for each phase.

import { evaluationOf } from "../../../shared/model/phases.ts";
import { type Program, placeOf } from "../../../shared/run/program.ts";

/** What was measured of one phase. */
interface Measured {
  /** Rounds so far. The first compiled shaders and fetched shards: it says nothing of those to come. */
  readonly rounds: number;
  readonly secondsPerSample: number | undefined;
}

/** By phase; no entry where there was no round of it. */
export type Pace = ReadonlyMap<string, Measured>;

/** Weight of the newest round in the moving average. */
const PACE_WEIGHT = 0.2;

/** The pace after a round of `samples` took `workedMs` in which somebody worked. */
export function paced(pace: Pace, phase: string, samples: number, workedMs: number): Pace {
  const before = pace.get(phase);
  if (!before) return new Map(pace).set(phase, { rounds: 1, secondsPerSample: undefined });
  const now = Math.max(workedMs, 1) / 1000 / samples;
  const average = before.secondsPerSample ?? now;
  const secondsPerSample = average + PACE_WEIGHT * (now - average);
  return new Map(pace).set(phase, { rounds: before.rounds + 1, secondsPerSample });
}

/** 0 where nothing was measured yet. */
export function samplesPerSecond(pace: Pace, phase: string): number {
  const seconds = pace.get(phase)?.secondsPerSample;
  return seconds === undefined ? 0 : 1 / seconds;
}

export interface Remaining {
  readonly program: Program;
  readonly batch: number;
  readonly testSamples: number;
  /** Committed steps. */
  readonly step: number;
  /** Steps at which the run ends. */
  readonly target: number;
  /** What the evaluation in progress still wants; undefined where there is none. */
  readonly evaluating: { readonly phase: string; readonly samples: number } | undefined;
}

/**
 * Seconds until the run ends; null while nothing was measured. Phases without a measure count as the slowest with one.
 */
export function remainingSeconds(
  pace: Pace,
  { program, batch, testSamples, step, target, evaluating }: Remaining,
): number | null {
  if (step >= target && !evaluating) return 0;
  const known = [...pace.values()].flatMap((measured) => measured.secondsPerSample ?? []);
  if (known.length === 0) return null;
  const slowest = Math.max(...known);
  const seconds = (phase: string) => pace.get(phase)?.secondsPerSample ?? slowest;
  const tested = (network: string) => testSamples * seconds(evaluationOf(program, network)?.name ?? "");
  let total = evaluating ? evaluating.samples * seconds(evaluating.phase) : 0;
  if (step >= target) return total;
  for (const { firstStep, steps, samples, phase, network, evaluate } of program.passes) {
    const ahead = (at: number) => Math.min(samples, Math.max(0, at - firstStep) * batch);
    total += (ahead(target) - ahead(step)) * seconds(phase);
    const passEnd = firstStep + steps;
    if (evaluate && passEnd > step && passEnd <= target) total += tested(network);
  }
  const end = placeOf(program, target - 1, batch);
  if (!(end.last && end.pass.evaluate)) total += tested(end.pass.network);
  return total;
}
