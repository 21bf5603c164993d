// How much of a round each worker gets, so that all finish at about the same time: a pure function of measured speeds.
// The global batch stays fixed, only its split follows the volunteers (hivemind's `target_batch_size`).

import type { WorkerId } from "../shared/ids.ts";

/** What is known of one worker's speed at one kind of round. */
export interface Speed {
  /** Leases answered; the first includes shader compilation and is not measured. */
  readonly answered: number;
  /** Moving average; undefined until something was measured. */
  readonly samplesPerSecond: number | undefined;
}

/** Speeds by worker. A worker without an entry is unknown. */
export type Speeds = ReadonlyMap<WorkerId, Speed>;

/** Weight of the newest measurement in the moving average. */
export const SPEED_WEIGHT = 0.3;

/** A lease is sized to take at most this share of its time limit, where the speed is known. */
export const TIMEOUT_SHARE = 0.5;

function withSpeed(speeds: Speeds, worker: WorkerId, speed: Speed): Speeds {
  return new Map(speeds).set(worker, speed);
}

/** Speeds after `worker` answered a lease of `samples` in `elapsedMs`. */
export function measured(speeds: Speeds, worker: WorkerId, samples: number, elapsedMs: number): Speeds {
  const before = speeds.get(worker);
  if (!before) return withSpeed(speeds, worker, { answered: 1, samplesPerSecond: undefined });
  const now = (samples * 1000) / Math.max(elapsedMs, 1);
  const average = before.samplesPerSecond;
  return withSpeed(speeds, worker, {
    answered: before.answered + 1,
    samplesPerSecond: average === undefined ? now : average + SPEED_WEIGHT * (now - average),
  });
}

/** Speeds after `worker` let a lease of `samples` expire: it is slower than that, so its next lease is smaller. */
export function expired(speeds: Speeds, worker: WorkerId, samples: number, timeoutMs: number): Speeds {
  const before = speeds.get(worker);
  const bound = (samples * 1000 * TIMEOUT_SHARE) / timeoutMs;
  return withSpeed(speeds, worker, {
    answered: (before?.answered ?? 0) + 1,
    samplesPerSecond: Math.min(before?.samplesPerSecond ?? Infinity, bound),
  });
}

export interface ShareRequest {
  readonly worker: WorkerId;
  /** All that work on the round or are about to, `worker` among them. */
  readonly workers: readonly WorkerId[];
  readonly speeds: Speeds;
  /** Microbatches that nobody holds, at least 1. */
  readonly unleased: number;
  /** Microbatches in leases that others compute now. */
  readonly leased: number;
  /** Samples of a microbatch. */
  readonly microbatch: number;
  readonly maxMicrobatches: number;
  readonly timeoutMs: number;
}

/**
 * Microbatches of the next lease of `worker`: its share, by speed, of all that is not answered yet; at least 1, at most
 * `maxMicrobatches`, what is unleased, and what it can compute within half the time limit. Workers of unknown speed
 * count as the mean of the known.
 */
export function leaseMicrobatches(request: ShareRequest): number {
  const { worker, workers, speeds, unleased, leased } = request;
  const speedOf = (id: WorkerId) => speeds.get(id)?.samplesPerSecond;
  const known = workers.map(speedOf).filter((speed) => speed !== undefined);
  const mean = known.length === 0 ? 1 : known.reduce((a, b) => a + b, 0) / known.length;
  const total = workers.reduce((sum, id) => sum + (speedOf(id) ?? mean), 0);
  const share = Math.round(((unleased + leased) * (speedOf(worker) ?? mean)) / total);
  const inTime = Math.floor(
    ((speedOf(worker) ?? Infinity) * request.timeoutMs * TIMEOUT_SHARE) / 1000 / request.microbatch,
  );
  return Math.max(1, Math.min(share, unleased, request.maxMicrobatches, inTime));
}
