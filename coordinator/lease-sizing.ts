// How much of a round each worker gets, so that all finish at about the same time: a pure function of measured speeds.
// The global batch stays fixed, only its split follows the volunteers (hivemind's `target_batch_size`).

/** What is known of one worker's speed at one kind of round. */
export interface Speed {
  /** Leases that ended, answered or not. */
  readonly leases: number;
  /** Moving average, or a bound; undefined until something is known. */
  readonly samplesPerSecond: number | undefined;
  /** It is at most so fast: it did not answer in time. */
  readonly bound: boolean;
}

export const unknownSpeed: Speed = { leases: 0, samplesPerSecond: undefined, bound: false };

/** The first leases of a kind compile shaders, fetch shards and measure tilings: they say nothing of the speed. */
export const UNMEASURED_LEASES = 2;
/** Weight of the newest measurement in the moving average. */
export const SPEED_WEIGHT = 0.3;
/** A lease is sized to take at most this share of its time limit, where the speed is known. */
export const TIMEOUT_SHARE = 0.5;
/** A worker is left out of a round where one microbatch would take it this many times what the rest of the round takes. */
export const TOO_SLOW = 2;

const rate = (samples: number, elapsedMs: number) => (samples * 1000) / Math.max(elapsedMs, 1);

/** The speed after a lease of `samples` was answered in `elapsedMs`. */
export function measured(before: Speed, samples: number, elapsedMs: number): Speed {
  const leases = before.leases + 1;
  if (leases <= UNMEASURED_LEASES) return { ...before, leases };
  const now = rate(samples, elapsedMs);
  const average = before.bound ? undefined : before.samplesPerSecond;
  const samplesPerSecond = average === undefined ? now : average + SPEED_WEIGHT * (now - average);
  return { leases, samplesPerSecond, bound: false };
}

/** The speed after a lease of `samples` was taken away unanswered after `elapsedMs`: the worker is slower than that. */
export function overtaken(before: Speed, samples: number, elapsedMs: number): Speed {
  const leases = before.leases + 1;
  const limit = rate(samples, elapsedMs);
  const known = before.samplesPerSecond ?? Number.POSITIVE_INFINITY;
  if (leases <= UNMEASURED_LEASES || known <= limit) return { ...before, leases };
  return { leases, samplesPerSecond: limit, bound: true };
}

/** The speed after a lease of `samples` expired: whatever the reason, the next lease is smaller. */
export function expired(before: Speed, samples: number, timeoutMs: number): Speed {
  const limit = rate(samples * TIMEOUT_SHARE, timeoutMs);
  const samplesPerSecond = Math.min(before.samplesPerSecond ?? Number.POSITIVE_INFINITY, limit);
  return { leases: before.leases + 1, samplesPerSecond, bound: true };
}

export interface ShareRequest {
  /** Samples a second; undefined where unknown. */
  readonly speed: number | undefined;
  /** Mean speed of the workers whose speed is known, which stands for the others'; any positive number where none is. */
  readonly mean: number;
  /** Speeds of all that work on the round or are about to, this worker among them. */
  readonly total: number;
  /** Microbatches of the round that are not answered yet, at least 1. */
  readonly remaining: number;
  /** Of those, what this worker holds already. */
  readonly held: number;
  /** The worker, the configuration and its account allow no more. */
  readonly most: number;
  /** Samples of a microbatch. */
  readonly microbatch: number;
  readonly timeoutMs: number;
}

/**
 * Microbatches of a worker's next lease: its share, by speed, of all that is not answered yet, less what it holds; at
 * most `most` and what it can compute within half the time limit. At least 1 for a worker that holds nothing; 0 is no lease.
 */
export function leaseMicrobatches(request: ShareRequest): number {
  const { speed, mean, total, remaining, held, most, microbatch, timeoutMs } = request;
  if (most < 1) return 0;
  const share = Math.round((remaining * (speed ?? mean)) / Math.max(total, speed ?? mean)) - held;
  const inTime = Math.floor(((speed ?? Number.POSITIVE_INFINITY) * timeoutMs * TIMEOUT_SHARE) / 1000 / microbatch);
  return Math.max(held === 0 ? 1 : 0, Math.min(share, most, inTime));
}

/**
 * Whether the others would be done with the whole round before this worker with one microbatch: then it is worth more
 * as a reserve. Compared with their time for one microbatch more, so that equals are never too slow.
 */
export function tooSlow({ speed, mean, total, remaining, microbatch }: ShareRequest): boolean {
  if (speed === undefined) return false;
  const rest = (remaining * microbatch) / Math.max(total, speed);
  return microbatch / speed > TOO_SLOW * (rest + microbatch / mean);
}
