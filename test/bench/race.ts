// Contestants that run one after the other, round by round, so that what disturbs the machine disturbs them all.

import type { Emit } from "./line.ts";
import { best, median, pairedRatio, rounded } from "./statistics.ts";

export interface Contestant {
  readonly name: string;
  /** Resolves when the GPU has finished. */
  readonly run: () => Promise<void>;
}

export interface RaceOptions {
  readonly rounds: number;
  /** A round in which the slowest takes longer is the last but one. */
  readonly patienceMs: number;
}

const LEAST_ROUNDS = 2;

/**
 * Times every contestant after one run that warms up (and compiles); the first is the one that the others are compared
 * with.
 */
export async function race(
  name: string,
  contestants: readonly Contestant[],
  options: RaceOptions,
  emit: Emit,
): Promise<void> {
  const times: number[][] = contestants.map(() => []);
  let slowest = 0;
  for (const { run } of contestants) {
    const start = performance.now();
    await run();
    slowest = Math.max(slowest, performance.now() - start);
  }
  const rounds = slowest > options.patienceMs ? Math.min(LEAST_ROUNDS, options.rounds) : options.rounds;
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run }] of contestants.entries()) {
      const start = performance.now();
      await run();
      times[i].push(performance.now() - start);
    }
  }
  for (const [i, { name: library }] of contestants.entries()) {
    const line = { ms: rounded(best(times[i])), medianMs: rounded(median(times[i])), runs: rounds };
    await emit({ record: "peer", name, library, ...line });
  }
  for (const [i, { name: of }] of contestants.entries()) {
    if (i > 0) await emit({ record: "ratio", name, of, ratio: rounded(pairedRatio(times[i], times[0]), 3) });
  }
}
