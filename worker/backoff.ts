// How long to wait before trying again: full jitter, so that a restarted coordinator is not met by all its workers at
// once (Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015).

export interface BackoffRange {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * Milliseconds before attempt `attempt` (from 1): between the base and a ceiling that doubles up to the cap. `random`
 * is in [0, 1).
 */
export function backoffMs({ baseMs, capMs }: BackoffRange, attempt: number, random: number): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
  return baseMs + random * Math.max(0, ceiling - baseMs);
}
