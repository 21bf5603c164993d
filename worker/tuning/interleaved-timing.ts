// Times contenders that share a machine with other work: in turns, so that a slow spell meets all of them, and the best
// of each counts.

/** Something to time: resolves when `times` runs of it are over. */
export type Contender = (times: number) => Promise<void>;

export interface TimingOptions {
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  /** What submitting nothing and waiting for it takes; is taken off. */
  readonly overheadMs: number;
  /** Looked at before each run: no more rounds than the first are begun once it is true. */
  readonly expired: () => boolean;
}

/**
 * A round for each: only contenders within this factor of the best so far run in it. One slow spell must not end a
 * race.
 */
const WITHIN = [Number.POSITIVE_INFINITY, 3, 1.5] as const;
/** What is timed takes at least some overheads, or a polling runtime's waits would be all there is to see. */
const OVERHEADS = 4;
const LEAST_MS = 8;
const MOST_MS = 60;
const MOST_REPEATS = 512;
/** Most that a count of repeats grows at once: what it grows by may be a clock's error. */
const GROWTH = 16;

/** Milliseconds that a round of one contender is to take, waiting not counted. */
export function roundMs(overheadMs: number): number {
  return Math.min(MOST_MS, Math.max(LEAST_MS, OVERHEADS * overheadMs));
}

/**
 * Milliseconds of one run of each contender: the best of its rounds. Undefined where the time is over before each has
 * had its first.
 */
export async function interleavedTiming(
  contenders: readonly Contender[],
  { now, overheadMs, expired }: TimingOptions,
): Promise<number[] | undefined> {
  const wanted = roundMs(overheadMs);
  const timed = async (contender: Contender, times: number) => {
    const since = now();
    await contender(times);
    return Math.max(0, now() - since - overheadMs);
  };
  /** How many runs together take long enough to be timed. */
  const repeatsOf = async (contender: Contender) => {
    // A software adapter translates a kernel in its first run.
    await contender(1);
    let times = 1;
    for (let ms = await timed(contender, times); ms < wanted / 2 && times < MOST_REPEATS && !expired(); ) {
      const growth = Math.min(GROWTH, Math.max(2, wanted / Math.max(ms, 1e-3)));
      times = Math.min(MOST_REPEATS, Math.ceil(times * growth));
      ms = await timed(contender, times);
    }
    return times;
  };
  const repeats: number[] = [];
  for (const contender of contenders) {
    if (expired()) return undefined;
    repeats.push(await repeatsOf(contender));
  }
  const best = contenders.map(() => Number.POSITIVE_INFINITY);
  for (const [round, within] of WITHIN.entries()) {
    const bound = within * Math.min(...best);
    for (const [i, contender] of contenders.entries()) {
      if (expired()) return round === 0 ? undefined : best;
      if (best[i] > bound) continue;
      const ms = (await timed(contender, repeats[i])) / repeats[i];
      best[i] = Math.min(best[i], Math.max(ms, 1e-6));
    }
  }
  return best;
}
