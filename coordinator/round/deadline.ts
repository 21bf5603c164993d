// When a round stops to wait: from how the contributions of the last rounds arrived, so that nobody has to guess a time
// limit (hivemind #676 asks for exactly this; ARCHITECTURE §3).

import { median } from "../../shared/base/median.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import type { RunConfig } from "../../shared/run/config.ts";

/** `complete`: a round ends with its last sample. `deadline`: what is late is carried over to the next step. */
export type SealMode = "complete" | "deadline";

/** Rounds of one kind that are remembered. */
export const ARRIVAL_ROUNDS = 10;
/** Offsets kept of one round: of ten thousand volunteers, evenly chosen ones tell as much. */
export const ARRIVALS_KEPT = 512;
/** So many deviations above the median are late. */
const DEVIATIONS = 6;
/** The deviation counts as at least this share of the median: volunteers in step are no reason to be strict. */
const LEAST_SPREAD = 0.05;
/** From this share of the deadline on, idle workers are lent what others still compute (MapReduce's backup tasks). */
export const BACKUP_FROM = 0.85;

/** Offsets in milliseconds from the first lease of a round to its contributions, ascending; the newest round last. */
export type Arrivals = readonly (readonly number[])[];

/** The arrivals with one more round; a round without contributions says nothing. */
export function withArrivals(arrivals: Arrivals, offsets: readonly number[]): Arrivals {
  if (offsets.length === 0) return arrivals;
  const sorted = [...offsets].sort((a, b) => a - b);
  const every = sorted.length / Math.min(sorted.length, ARRIVALS_KEPT);
  const kept = Array.from({ length: Math.round(sorted.length / every) }, (_, i) => sorted[Math.floor(i * every)]);
  return [...arrivals, kept].slice(-ARRIVAL_ROUNDS);
}

/**
 * Milliseconds after the first lease at which a round is late: median + 6 · max(MAD, 0.05 · median) of the arrivals,
 * within [minMs, maxMs]; maxMs where nothing has arrived yet.
 */
export function deadlineMs(arrivals: Arrivals, limits: { readonly minMs: number; readonly maxMs: number }): number {
  const { minMs, maxMs } = limits;
  const offsets = arrivals.flat();
  if (offsets.length === 0) return maxMs;
  const middle = median(offsets);
  const deviation = median(offsets.map((offset) => Math.abs(offset - middle)));
  const late = middle + DEVIATIONS * Math.max(deviation, LEAST_SPREAD * middle);
  return Math.min(maxMs, Math.max(minMs, late));
}

/** Whether a round that is late may end with `collected` of `wanted` samples: never before half has arrived. */
export function mayEndEarly(collected: number, wanted: number): boolean {
  return collected > 0 && 2 * collected >= wanted;
}

/**
 * What `lease.seal: auto` means: where the codec promises the same bits for any number of workers, so nothing is left
 * out.
 */
export function sealMode({ codec, lease }: Pick<RunConfig, "codec" | "lease">): SealMode {
  if (lease.seal !== "auto") return lease.seal;
  return codecs.get(codec).exactSums ? "complete" : "deadline";
}
