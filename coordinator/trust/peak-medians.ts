// What peaks are usual in a phase: of each tensor the median account's in the last round, which a minority cannot move,
// but not far below the round before. The units follow from the largest report, so whoever raises that a little each
// round would else raise its own limit too.

import { z } from "zod";
import type { UsualPeak } from "../sum/contribution.ts";

/** By phase, one value a tensor of its layout; 0 of one that tells nothing. */
export type PeakMedians = Map<string, readonly number[]>;

/** As a checkpoint has them. */
export const peakMediansSchema = z.record(z.string(), z.array(z.number().min(0)));

/** Honest accounts' largest peaks of a tensor are within this factor of their median; beyond it the median counts. */
export const PEAK_SPREAD = 32;

/**
 * What is usual falls no faster than this from a round to the next: a tensor of one number, as the bias of a
 * discriminator's last layer, is next to nothing in some microbatch, and as large as ever in the next.
 */
export const PEAK_FALL = 1.5;
/** What strangers alone send moves what is usual of peaks up no faster than this from a round to the next. */
export const LONE_GROWTH = 1.5;

/** What is usual where the largest report of the round before is far beyond its median account's, or below it. */
export function boundedPeaks(usual: readonly UsualPeak[], known: readonly number[] = []): readonly UsualPeak[] {
  return usual.map((peak, i) => {
    // Where most gradients are zero the others have no measure.
    if (!(known[i] > 0) || peak.largest === Number.POSITIVE_INFINITY) return peak;
    return { ...peak, largest: Math.min(Math.max(peak.largest, known[i]), PEAK_SPREAD * known[i]) };
  });
}

/**
 * What is usual after a round with these medians; a median of 0 says nothing.
 * @param lone one or two strangers alone sent them
 */
export function nextPeaks(known: readonly number[], medians: readonly number[], lone: boolean): readonly number[] {
  return medians.map((peak, i) => {
    const before = known[i] ?? 0;
    if (peak === 0 || before === 0) return peak || before;
    return Math.max(before / PEAK_FALL, lone ? Math.min(peak, LONE_GROWTH * before) : peak);
  });
}

/** The reports of one round, account by account: many leases move a median no further than one. */
export class ReportedPeaks {
  /** Bits of floats from +0 up are ordered as the floats are. */
  readonly #accounts = new Map<string, Uint32Array<ArrayBuffer>>();
  readonly #owns = new Set<string>();

  clear(): void {
    this.#accounts.clear();
    this.#owns.clear();
  }

  /** Of each account the largest, as bits. */
  get accountPeaks(): ReadonlyMap<string, Uint32Array> {
    return new Map(this.#accounts);
  }

  /** How many accounts reported. */
  get accounts(): number {
    return this.#accounts.size;
  }

  /** Whether the operator's own are among them. */
  get own(): boolean {
    return this.#owns.size > 0;
  }

  /** @param peaks bits of one f32 a tensor @param own it is the operator's own worker's */
  add(account: string, peaks: Uint32Array, own = false): void {
    if (own) this.#owns.add(account);
    const known = this.#accounts.get(account);
    if (!known) this.#accounts.set(account, Uint32Array.from(peaks));
    else for (let i = 0; i < peaks.length; i++) known[i] = Math.max(known[i], peaks[i]);
  }

  /** The lower median of each tensor, of the operator's own alone where they reported; nothing where nobody did. */
  medians(): readonly number[] | undefined {
    const all = [...this.#accounts].flatMap(([account, peaks]) =>
      !this.own || this.#owns.has(account) ? [peaks] : [],
    );
    if (all.length === 0) return undefined;
    const bits = all[0].map((_, i) => Uint32Array.from(all, (peaks) => peaks[i]).sort()[(all.length - 1) >> 1]);
    return [...new Float32Array(bits.buffer)];
  }
}
