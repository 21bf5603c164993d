// How much of a round each worker gets, so that all finish at about the same time: a pure function of measured speeds.
// The global batch stays fixed, only its split follows the volunteers (hivemind's `target_batch_size`).

/** What is known of one worker's speed in one phase. */
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
/**
 * A measurement counts as at most so many times the average: a worker that was away hands in several leases at once,
 * and one of them would seem to have taken no time; the whole round would be its share.
 */
export const MOST_GROWTH = 2;
/** A lease is sized to take at most this share of its time limit, where the speed is known. */
export const TIMEOUT_SHARE = 0.5;
/**
 * A worker is left out of a round where one microbatch would take it this many times what the rest of the round takes.
 */
export const TOO_SLOW = 2;

const rate = (samples: number, elapsedMs: number) => (samples * 1000) / Math.max(elapsedMs, 1);

/** The speed after a lease of `samples` was answered in `elapsedMs`. */
export function measured(before: Speed, samples: number, elapsedMs: number): Speed {
  const leases = before.leases + 1;
  if (leases <= UNMEASURED_LEASES) return { ...before, leases };
  const average = before.bound ? undefined : before.samplesPerSecond;
  const now = Math.min(rate(samples, elapsedMs), MOST_GROWTH * (average ?? Number.POSITIVE_INFINITY));
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

/** A round's time is cut into so many parts for each of `pieces`; no lease is finer, unless less is left. */
export const FINEST_PART = 6;

export interface ShareRequest {
  /** Leases of this kind that the worker had. */
  readonly leases: number;
  /** Microbatches that nobody holds, and all of the round. */
  readonly unleased: number;
  readonly wanted: number;
  /**
   * A lease is at most this part of the worker's share of what nobody holds: so the last leases are small, and end
   * together.
   */
  readonly pieces: number;
  /** Microbatches of a worker's first lease; while its speed is unknown each is at most twice the one before. */
  readonly first: number;
  /** Samples a second; undefined where unknown. */
  readonly speed: number | undefined;
  /**
   * Mean speed of the workers whose speed is known, which stands for the others'; any positive number where none is.
   */
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
  /** Milliseconds since the round's first lease, where no round of the kind was before; Infinity else. */
  readonly unpacedMs: number;
}

/**
 * In a kind's first round a lease takes at most so long, or this share of the time since its first lease: others may
 * come yet.
 */
const UNPACED_MS = 1000;
const UNPACED_SHARE = 0.25;

/**
 * Microbatches of a worker's next lease: its share, by speed, of all that is not answered yet, less what it holds; at
 * most `most`, a part of what nobody holds, and what it can compute within half the time limit. At least 1 for a worker
 * that holds nothing; 0 is no lease.
 */
export function leaseMicrobatches(request: ShareRequest): number {
  const { speed, mean, total, remaining, held, most, microbatch, timeoutMs, unpacedMs, pieces } = request;
  if (most < 1) return 0;
  const unpaced = pieces === 1 ? Number.POSITIVE_INFINITY : Math.max(UNPACED_MS, unpacedMs * UNPACED_SHARE);
  const part = (speed ?? mean) / Math.max(total, speed ?? mean);
  const share = Math.min(Math.round(remaining * part) - held, pieceOf(request, part));
  const longest = Math.min(timeoutMs * TIMEOUT_SHARE, unpaced);
  const inTime = Math.floor(((speed ?? Number.POSITIVE_INFINITY) * longest) / 1000 / microbatch);
  return Math.max(held === 0 ? 1 : 0, Math.min(share, most, inTime));
}

/** Factoring (Hummel, Schonberg, Flynn 1992): always the same part of what is left, down to a finest grain. */
function pieceOf({ speed, leases, unleased, wanted, pieces, first }: ShareRequest, part: number): number {
  const probe = speed === undefined ? first * 2 ** Math.min(leases, 10) : Number.POSITIVE_INFINITY;
  if (pieces === 1) return probe;
  const finest = (wanted * part) / (pieces * FINEST_PART);
  return Math.min(probe, Math.ceil(Math.max((unleased * part) / pieces, finest)));
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

// Into how many pieces a worker's share is cut, so that workers end together and little is lost with one that goes: as
// many as are worth their contributions. Each piece is a gradient of the whole network, read back, sent and summed, so
// that a share of a fraction of a second, or the large gradients of a slow uplink, had better stay in one piece.

/** Pieces of a share where nothing speaks against them. */
export const MOST_PIECES = 4;
/**
 * A piece that is computed in less costs more in messages, readback and kernels' ends than its share's even end is
 * worth.
 */
export const LEAST_PIECE_SECONDS = 2;
/** What a volunteer's uplink is taken to carry: 8 Mbit/s. */
export const UPLINK_BYTES_PER_SECOND = 1_000_000;
/** Computing a piece takes at least so many times as long as sending what comes of it, which happens meanwhile. */
export const UPLOADS_A_PIECE = 2;

export interface RoundWork {
  /** Samples of the round. */
  readonly samples: number;
  /** Speed of all who work on such rounds, together; undefined where nobody was measured. */
  readonly samplesPerSecond: number | undefined;
  /** What one contribution takes on the wire. */
  readonly contributionBytes: number;
}

/**
 * What `lease.pieces: auto` comes to. Where no speed is known, sizes double from lease to lease anyway, and the most is
 * no loss.
 */
export function piecesOf({ samples, samplesPerSecond, contributionBytes }: RoundWork): number {
  if (samplesPerSecond === undefined) return MOST_PIECES;
  // Shares follow speed: each takes as long as the round.
  const shareSeconds = samples / samplesPerSecond;
  const uploadSeconds = contributionBytes / UPLINK_BYTES_PER_SECOND;
  const pieceSeconds = Math.max(LEAST_PIECE_SECONDS, UPLOADS_A_PIECE * uploadSeconds);
  return Math.max(1, Math.min(MOST_PIECES, Math.floor(shareSeconds / pieceSeconds)));
}
