// How fast the run goes, and how long what is left will take: a moving average for each kind of round.

import type { RoundKind } from "../shared/contribution.ts";
import { type Program, placeOf } from "../shared/program.ts";

/** Seconds a sample, by kind of round; no entry where none was measured. */
export type Pace = ReadonlyMap<RoundKind, number>;

/** Weight of the newest round in the moving average. */
const PACE_WEIGHT = 0.2;

/** The pace after a round of `samples` took `elapsedMs`. */
export function paced(pace: Pace, kind: RoundKind, samples: number, elapsedMs: number): Pace {
  const now = Math.max(elapsedMs, 1) / 1000 / samples;
  const before = pace.get(kind) ?? now;
  return new Map(pace).set(kind, before + PACE_WEIGHT * (now - before));
}

/** Training samples committed after `step` steps, over all passes. */
export function samplesAt(program: Program, step: number, batch: number): number {
  return program.passes.reduce((sum, { firstStep, samples }) => {
    return sum + Math.min(samples, Math.max(0, step - firstStep) * batch);
  }, 0);
}

export interface Remaining {
  readonly program: Program;
  readonly batch: number;
  readonly testSamples: number;
  /** Committed steps. */
  readonly step: number;
  /** Steps at which the run ends. */
  readonly target: number;
}

/** Seconds until the run ends; null while nothing was measured. Kinds that have not run yet count as the slowest that has. */
export function remainingSeconds(pace: Pace, { program, batch, testSamples, step, target }: Remaining): number | null {
  if (pace.size === 0) return step >= target ? 0 : null;
  const slowest = Math.max(...pace.values());
  const seconds = (kind: RoundKind) => pace.get(kind) ?? slowest;
  let total = 0;
  for (const { firstStep, steps, samples, kind, evaluate } of program.passes) {
    const ahead = (at: number) => Math.min(samples, Math.max(0, at - firstStep) * batch);
    total += (ahead(target) - ahead(step)) * seconds(kind);
    const end = firstStep + steps;
    if (evaluate && end > step && end <= target) total += testSamples * seconds("evaluate");
  }
  const inside = target > step && placeOf(program, target - 1, batch);
  if (inside && !(inside.last && inside.pass.evaluate)) total += testSamples * seconds("evaluate");
  return total;
}
