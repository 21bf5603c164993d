// What peaks the accounts of the last round of a phase reported: of each tensor the median account's, which a minority
// cannot move. The units follow from the largest report, so whoever raises that a little each round would else raise
// its own limit too.

import { z } from "zod";
import type { UsualPeak } from "../sum/contribution.ts";
import { LEAST_ACCOUNTS } from "./clip-rule.ts";

/** By phase, one value a tensor of its layout; 0 of one that tells nothing. */
export type PeakMedians = Map<string, readonly number[]>;

/** As a checkpoint has them. */
export const peakMediansSchema = z.record(z.string(), z.array(z.number().min(0)));

/** Honest accounts' largest peaks of a tensor are within this factor of their median; beyond it the median counts. */
export const PEAK_SPREAD = 32;

/** What is usual where the largest report of the round before is far beyond its median account's. */
export function boundedPeaks(usual: readonly UsualPeak[], known: readonly number[] = []): readonly UsualPeak[] {
  return usual.map((peak, i) => {
    // Where most gradients are zero the others have no measure.
    const most = known[i] > 0 ? PEAK_SPREAD * known[i] : Number.POSITIVE_INFINITY;
    return peak.largest === Number.POSITIVE_INFINITY || peak.largest <= most ? peak : { ...peak, largest: most };
  });
}

/** The reports of one round, account by account: many leases move a median no further than one. */
export class ReportedPeaks {
  /** Bits of floats from +0 up are ordered as the floats are. */
  readonly #accounts = new Map<string, Uint32Array<ArrayBuffer>>();

  clear(): void {
    this.#accounts.clear();
  }

  /** @param peaks bits of one f32 a tensor */
  add(account: string, peaks: Uint32Array): void {
    const known = this.#accounts.get(account);
    if (!known) this.#accounts.set(account, Uint32Array.from(peaks));
    else for (let i = 0; i < peaks.length; i++) known[i] = Math.max(known[i], peaks[i]);
  }

  /** The lower median of each tensor; nothing where so few reported that one could be it. */
  medians(): readonly number[] | undefined {
    const all = [...this.#accounts.values()];
    if (all.length < LEAST_ACCOUNTS) return undefined;
    const bits = all[0].map((_, i) => Uint32Array.from(all, (peaks) => peaks[i]).sort()[(all.length - 1) >> 1]);
    return [...new Float32Array(bits.buffer)];
  }
}
