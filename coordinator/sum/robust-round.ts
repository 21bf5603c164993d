// The parts that accounts have in a round, kept apart until its seal, and then combined to a mean that a minority
// cannot steer. A part is a sum of integers, as the round's own sum is, so the order in which contributions arrive
// changes no bit of it.

import type { TensorSpan } from "./gradient-norms.ts";
import { centeredClip, trimmed, trimmedMean, type WeightedVector } from "./robust-mean.ts";

/** `trust.clip`, where it wants all parts of a round at once. */
export type RobustMode = "centered-clip" | "trimmed-mean";

export function isRobust(clip: string): clip is RobustMode {
  return clip === "centered-clip" || clip === "trimmed-mean";
}

export interface RobustTerms {
  readonly phase: string;
  /** It counts answers, and is summed as always. */
  readonly evaluate: boolean;
  /** What is carried from round to round begins anew with another; see `EngineOptions`. */
  readonly era: number;
  readonly spans: readonly TensorSpan[];
}

/** One contribution of an account. */
export interface RobustPart {
  readonly account: string;
  /** Start of its range. */
  readonly from: number;
  readonly samples: number;
  /** Bits of one f32 a tensor. */
  readonly peaks: Uint32Array;
  /** Integers in the wire's order; taken over. */
  readonly units: Float64Array<ArrayBuffer>;
}

/** In place of a sum's means and peaks. */
export interface RobustResult {
  /** Mean of a sample, in the wire's order. */
  readonly means: Float64Array;
  /** The largest report of each tensor without those of as many accounts as a trimmed mean leaves out. */
  readonly peaks: Float32Array;
}

interface AccountPart {
  from: number;
  samples: number;
  readonly peaks: Uint32Array<ArrayBuffer>;
  readonly sum: Float64Array<ArrayBuffer>;
}

export class RobustRounds {
  readonly #mode: RobustMode;
  /** The means of the last round of each phase: where centered clipping starts. */
  readonly #centers = new Map<string, { readonly era: number; readonly means: Float64Array<ArrayBuffer> }>();
  readonly #parts = new Map<string, AccountPart>();
  #round: RobustTerms | undefined;

  constructor(mode: RobustMode) {
    this.#mode = mode;
  }

  /** A round opens. */
  open(round: RobustTerms): void {
    this.#round = round.evaluate ? undefined : round;
    this.#parts.clear();
  }

  /** Takes what is in the round's sum for good; `part` is asked only where the round is combined. */
  add(part: () => RobustPart): void {
    if (!this.#round) return;
    const { account, from, samples, peaks, units } = part();
    const known = this.#parts.get(account);
    if (!known) {
      this.#parts.set(account, { from, samples, peaks: Uint32Array.from(peaks), sum: units });
      return;
    }
    known.from = Math.min(known.from, from);
    known.samples += samples;
    for (let i = 0; i < units.length; i++) known.sum[i] += units[i];
    // Bits of floats from +0 up are ordered as the floats are.
    peaks.forEach((bits, i) => {
      known.peaks[i] = Math.max(known.peaks[i], bits);
    });
  }

  /** The round is sealed: what its accounts' parts come to, or nothing where it is summed as always. */
  combine(): RobustResult | undefined {
    const round = this.#round;
    // One range begins in one part only, so the order is the ranges'.
    const parts = [...this.#parts.values()].sort((a, b) => a.from - b.from);
    this.#parts.clear();
    if (!round || parts.length === 0) return undefined;
    const vectors: WeightedVector[] = [];
    for (const { sum, samples } of parts) {
      for (const { offset, size, unit } of round.spans) {
        for (let i = offset; i < offset + size; i++) sum[i] = (sum[i] * unit) / samples;
      }
      vectors.push({ values: sum, weight: samples });
    }
    const means = this.#mode === "trimmed-mean" ? trimmedMean(vectors) : this.#centered(round, vectors);
    return { means, peaks: trimmedPeaks(parts.map(({ peaks }) => peaks)) };
  }

  #centered({ phase, era, spans }: RobustTerms, vectors: readonly WeightedVector[]) {
    const { length } = vectors[0].values;
    const last = this.#centers.get(phase);
    // What is resumed from a checkpoint starts at zero, so whoever goes on past it does too.
    const known = last?.era === era && last.means.length === length;
    const means = known ? last.means : new Float64Array(length);
    for (const group of ["gradient", "critic", "statistic", "metric"] as const) {
      const own = spans.filter((span) => span.group === group);
      if (own.length > 0) centeredClip(vectors, means, own);
    }
    this.#centers.set(phase, { era, means });
    return means;
  }
}

function trimmedPeaks(accounts: readonly Uint32Array[]): Float32Array {
  const cut = trimmed(accounts.length);
  const bits = accounts[0].map((_, tensor) => accounts.map((peaks) => peaks[tensor]).sort((a, b) => b - a)[cut]);
  return new Float32Array(bits.buffer);
}
