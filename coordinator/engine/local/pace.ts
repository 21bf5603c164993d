// How fast the run goes, and how long what is left will take: a moving average for each phase.

import { evaluationOf } from "../../../shared/model/phases.ts";
import { type Program, placeOf } from "../../../shared/run/program.ts";

/** What was measured of one phase. */
interface Measured {
  /** Rounds so far. The first compiled shaders and fetched shards: it says nothing of those to come. */
  readonly rounds: number;
  readonly secondsPerSample: number | undefined;
  /** Samples of the largest round. */
  readonly largest: number;
}

/** By phase; no entry where there was no round of it. */
export type Pace = ReadonlyMap<string, Measured>;

/** Weight of the newest round in the moving average; a pass's short rest weighs as much less as it has less samples. */
const PACE_WEIGHT = 0.2;

/** The pace after a round of `samples` took `workedMs` in which somebody worked. */
export function paced(pace: Pace, phase: string, samples: number, workedMs: number): Pace {
  const before = pace.get(phase);
  if (!before) return new Map(pace).set(phase, { rounds: 1, secondsPerSample: undefined, largest: samples });
  const now = Math.max(workedMs, 1) / 1000 / samples;
  const average = before.secondsPerSample ?? now;
  const largest = Math.max(before.largest, samples);
  const secondsPerSample = average + PACE_WEIGHT * (samples / largest) * (now - average);
  return new Map(pace).set(phase, { rounds: before.rounds + 1, secondsPerSample, largest });
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
  /** What a sample of each phase takes, as `sampleWork` counts it; without it all take the same. */
  readonly work?: ReadonlyMap<string, number>;
}

/** What is left of a run, and what that is of. */
export interface Estimate {
  /** Until the run ends; null while nothing was measured. */
  readonly seconds: number | null;
  /** Evaluations that are in it, the one in progress too. */
  readonly evaluations: number;
  /** Names of phases in it that were never measured: they are as slow as what they compute, next to those that were. */
  readonly guessed: readonly string[];
}

/** Seconds a sample of a phase that was not measured: of the measured ones, scaled by their work, the slowest. */
function guess(
  known: ReadonlyMap<string, number>,
  phase: string,
  work: ReadonlyMap<string, number> = new Map(),
): number {
  const own = work.get(phase);
  const scaled = [...known].map(([name, seconds]) => {
    const other = work.get(name);
    return own === undefined || other === undefined || other === 0 ? seconds : (seconds * own) / other;
  });
  return Math.max(...scaled);
}

/** What is ahead of a run: samples by phase, and how often which network is evaluated. */
function ahead({ program, batch, step, target, evaluating }: Remaining) {
  const samples = new Map<string, number>();
  const evaluated: string[] = [];
  if (evaluating) samples.set(evaluating.phase, evaluating.samples);
  if (step >= target) return { samples, evaluated };
  for (const { firstStep, steps, samples: ofPass, phase, network, evaluate } of program.passes) {
    const until = (at: number) => Math.min(ofPass, Math.max(0, at - firstStep) * batch);
    const left = until(target) - until(step);
    if (left > 0) samples.set(phase, (samples.get(phase) ?? 0) + left);
    const passEnd = firstStep + steps;
    if (evaluate && passEnd > step && passEnd <= target) evaluated.push(network);
  }
  const end = placeOf(program, target - 1, batch);
  if (!(end.last && end.pass.evaluate)) evaluated.push(end.pass.network);
  return { samples, evaluated };
}

/** How long what is left of a run takes: its steps, and its evaluations. */
export function remaining(pace: Pace, what: Remaining): Estimate {
  const { program, testSamples, step, target, evaluating, work } = what;
  if (step >= target && !evaluating) return { seconds: 0, evaluations: 0, guessed: [] };
  const known = new Map<string, number>();
  for (const [phase, { secondsPerSample }] of pace)
    if (secondsPerSample !== undefined) known.set(phase, secondsPerSample);
  const { samples, evaluated } = ahead(what);
  const evaluations = evaluated.length + (evaluating ? 1 : 0);
  for (const network of evaluated) {
    const phase = evaluationOf(program, network)?.name;
    if (phase !== undefined) samples.set(phase, (samples.get(phase) ?? 0) + testSamples);
  }
  const guessed = [...samples.keys()].filter((phase) => !known.has(phase));
  if (known.size === 0) return { seconds: null, evaluations, guessed };
  const seconds = (phase: string) => known.get(phase) ?? guess(known, phase, work);
  const total = [...samples].reduce((sum, [phase, of]) => sum + of * seconds(phase), 0);
  return { seconds: total, evaluations, guessed };
}
