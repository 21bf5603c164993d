// What becomes of a contribution that is larger than usual: scaled down to it, or refused. A pure function of the
// rounds before, fixed when a round opens, so that the order in which contributions arrive decides nothing. (Norm
// clipping at the running median: Karimireddy, He, Jaggi, "Learning from history for Byzantine robust optimization",
// 2021.)

import { codecs } from "../../shared/codecs/codecs.ts";
import type { UsualPeak } from "../sum/contribution.ts";
import type { GroupNorms, NormGroup } from "../sum/gradient-norms.ts";
import type { RobustMode } from "../sum/robust-round.ts";
import type { UsualNorm, UsualNorms } from "./norm-history.ts";

/**
 * `auto`: `norm`, and no scaling with a codec of exact sums, whose bits must not depend on who else takes part. The
 * robust modes scale nothing by itself: robust-round.ts combines what is left.
 */
export type ClipMode = "auto" | "none" | "norm" | RobustMode;

/** A contribution so many times as large as usual is no gradient of this run: it is refused with any codec. */
export const OUTLIER_FACTOR = 10;
/** Accounts in a round from which on most of them are a measure of each (size-judge.ts has others). */
export const LEAST_ACCOUNTS = 3;

/**
 * A peak so many times as large as the round before had is refused with any codec: the next round's unit follows from
 * the largest, so that one forged peak would make everybody's gradients coarse.
 */
export const PEAK_FACTOR = 32;

export interface ClipRule {
  readonly usual: UsualNorms;
  /** Scale gradients down to this many times the usual; null: never. */
  readonly factor: number | null;
  /** Refuse above this many times the usual; null: never. */
  readonly outlier: number | null;
}

export const noRule: ClipRule = { usual: {}, factor: null, outlier: null };

/** The rule of a round. */
export function clipRule(o: {
  readonly mode: ClipMode;
  readonly codec: string;
  readonly factor: number;
  readonly accounts: number;
  readonly usual: UsualNorms;
}): ClipRule {
  if (o.mode === "none" || o.accounts < LEAST_ACCOUNTS) return noRule;
  const scales = !codecs.get(o.codec).exactSums && (o.mode === "auto" || o.mode === "norm");
  return { usual: o.usual, factor: scales ? o.factor : null, outlier: OUTLIER_FACTOR };
}

/** How large a mean over `samples` usually is: the noise of fewer samples is larger, by the square root at most. */
export function usualFor({ norm, samples: usually }: UsualNorm, samples: number): number {
  return norm * Math.max(1, Math.sqrt(usually / samples));
}

/** The first peak that is refused, if any. @param peaks bits of one f32 a tensor, as `usual` has them */
export function unusualPeak(
  { outlier }: ClipRule,
  usual: readonly UsualPeak[],
  peaks: Uint32Array,
): { readonly name: string; readonly value: number; readonly limit: number } | undefined {
  if (outlier === null) return undefined;
  const values = new Float32Array(Uint32Array.from(peaks).buffer);
  for (let i = 0; i < usual.length; i++) {
    const { name, largest, magnitude } = usual[i];
    if (magnitude && values[i] > PEAK_FACTOR * largest) return { name, value: values[i], limit: PEAK_FACTOR * largest };
  }
  return undefined;
}

export type ClipVerdict =
  | { readonly kind: "add"; readonly scale: GroupScales }
  | { readonly kind: "refuse"; readonly group: NormGroup; readonly norm: number; readonly limit: number };

/** Factors at most 1; no entry is 1. */
export type GroupScales = Readonly<Partial<Record<NormGroup, number>>>;

/** What the rule says of one contribution. */
export function clipVerdict({ usual, factor, outlier }: ClipRule, norms: GroupNorms, samples: number): ClipVerdict {
  const scale: Partial<Record<NormGroup, number>> = {};
  for (const group of ["gradient", "critic", "statistic", "metric"] as const) {
    const [norm, known] = [norms[group], usual[group]];
    // A group of which nothing was trained yet, as discriminators in the warm-up, tells nothing.
    if (norm === undefined || known === undefined || known.norm === 0) continue;
    const expected = usualFor(known, samples);
    if (outlier !== null && norm > outlier * expected) {
      return { kind: "refuse", group, norm, limit: outlier * expected };
    }
    // Statistics and metrics are means of what was measured: a share of one is no measurement.
    const scales = group === "gradient" || group === "critic";
    if (factor !== null && scales && norm > factor * expected) scale[group] = (factor * expected) / norm;
  }
  return { kind: "add", scale };
}
