// Times contenders that share a machine with other work: in turns, so that a slow spell meets all of them, and the best of each counts.

/** Something to time: resolves when `times` runs of it are over. */
export type Contender = (times: number) => Promise<void>;

export interface TimingOptions {
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  /** What submitting nothing and waiting for it takes; is taken off. */
  readonly overheadMs: number;
  /** No more rounds than the first are begun once this is true. */
  readonly expired: () => boolean;
}

const ROUNDS = 3;
/** A round is repeated until it takes some overheads, or a polling runtime's waits would be all there is to see. */
const OVERHEADS = 3;
const LEAST_MS = 8;
const MOST_MS = 50;
const MOST_REPEATS = 256;
/** Slower than the best by this factor: out of the race. */
const HOPELESS = 1.5;
/** Nothing is quicker, whatever the clock's resolution says. */
const QUICKEST_MS = 1e-3;

/** How many runs are timed together. */
export function repeatsOf(ms: number, overheadMs: number): number {
  const target = Math.min(MOST_MS, Math.max(LEAST_MS, OVERHEADS * overheadMs));
  return Math.min(MOST_REPEATS, Math.max(1, Math.ceil(target / ms)));
}

/** Milliseconds of one run of each contender: the best of its rounds. */
export async function interleavedTiming(
  contenders: readonly Contender[],
  { now, overheadMs, expired }: TimingOptions,
): Promise<number[]> {
  const timed = async (contender: Contender, times: number) => {
    const since = now();
    await contender(times);
    return Math.max(QUICKEST_MS, (now() - since - overheadMs) / times);
  };
  // The first run warms caches up; of a short one it only says how often to repeat it.
  const best: number[] = [];
  for (const contender of contenders) best.push(await timed(contender, 1));
  const isLong = best.map((ms) => repeatsOf(ms, overheadMs) === 1);
  const counts = best.map((ms, i) => (isLong[i] ? ms : Number.POSITIVE_INFINITY));
  for (let round = 0; round < ROUNDS && (round === 0 || !expired()); round++) {
    for (const [i, contender] of contenders.entries()) {
      if (counts[i] > HOPELESS * Math.min(...counts) && counts[i] < Number.POSITIVE_INFINITY) continue;
      const ms = await timed(contender, repeatsOf(best[i], overheadMs));
      best[i] = ms;
      counts[i] = Math.min(counts[i], ms);
    }
  }
  return counts;
}
