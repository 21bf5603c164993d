// Times GPU work by the wall clock: many dispatches and one wait. Candidates take turns, so that a disturbance meets
// them all.

import { best, median } from "./statistics.ts";

export interface Stopwatch {
  readonly device: GPUDevice;
  readonly rounds: number;
  readonly atLeastMs: number;
  /** Sleeps without polling; Dawn in Node polls while it waits, and so would take a core from a software adapter. */
  readonly rest: (ms: number) => void;
}

/** Work that can be submitted so many times over. */
export interface Timed {
  readonly submit: (times: number) => void;
  /** Where, if not on the stopwatch's device. */
  readonly device?: GPUDevice;
}

export interface Timing {
  /** Milliseconds of one run. */
  readonly best: number;
  readonly median: number;
  readonly rounds: readonly number[];
}

const MOST_REPEATS = 4096;

async function total(watch: Stopwatch, timed: Timed, times: number, expectedMs: number): Promise<number> {
  const start = performance.now();
  timed.submit(times);
  watch.rest(0.8 * expectedMs);
  await (timed.device ?? watch.device).queue.onSubmittedWorkDone();
  return performance.now() - start;
}

/** Repeats that take at least so long, after a run that warms up. */
async function calibrate(watch: Stopwatch, timed: Timed): Promise<{ readonly times: number; readonly ms: number }> {
  await total(watch, timed, 1, 0);
  let times = 1;
  let ms = await total(watch, timed, times, 0);
  while (ms < watch.atLeastMs && times < MOST_REPEATS) {
    // Near the end of the way there, no further than needed; far from it, doubling is not fooled by the cost of the
    // wait.
    times = Math.min(MOST_REPEATS, Math.max(2 * times, Math.ceil((times * watch.atLeastMs) / Math.max(ms, 2) / 2)));
    ms = await total(watch, timed, times, 0);
  }
  return { times, ms };
}

/** Times each of the candidates, in turns of one measurement. */
export async function timeInTurns(watch: Stopwatch, candidates: readonly Timed[]): Promise<readonly Timing[]> {
  const repeats = [];
  for (const candidate of candidates) repeats.push(await calibrate(watch, candidate));
  const rounds: number[][] = candidates.map(() => []);
  for (let round = 0; round < watch.rounds; round++) {
    for (const [i, candidate] of candidates.entries()) {
      const { times, ms } = repeats[i];
      rounds[i].push((await total(watch, candidate, times, ms)) / times);
    }
  }
  return rounds.map((ms) => ({ best: best(ms), median: median(ms), rounds: ms }));
}

export function policyText({ rounds, atLeastMs }: Pick<Stopwatch, "rounds" | "atLeastMs">): string {
  return (
    `wall time of many dispatches and one wait, ${atLeastMs} ms or more a measurement after one that warms up; ` +
    `candidates take turns for ${rounds} rounds; ms is the best round, medianMs the median`
  );
}
