// How GOT-10k scores a tracker (Huang et al., 2019; its toolkit's arithmetic): overlaps of all frames of all sequences
// together, and the means by class that the paper defines.

import type { Box } from "./box.ts";
import { overlapOf } from "./overlap.ts";

/** A sequence with its truth and what a tracker said. */
export interface Got10kSequence {
  readonly truth: readonly Box[];
  readonly results: readonly Box[];
  /** 0 (hidden) to 8 (whole), one a frame; every frame counts where it is not known. */
  readonly cover?: readonly number[];
  /** Of its pictures. */
  readonly width: number;
  readonly height: number;
  /** For the means by class; sequences without one are a class of their own together. */
  readonly objectClass?: string;
}

export interface OverlapScore {
  /** Frames that count. */
  readonly frames: number;
  /** Mean overlap. */
  readonly ao: number;
  /** Shares of frames with an overlap above one half, and above three quarters. */
  readonly sr50: number;
  readonly sr75: number;
}

export interface Got10kScore extends OverlapScore {
  /** Of 101 thresholds, 0 to 1. */
  readonly success: readonly number[];
  /** Means of sequences within a class, then of classes. */
  readonly mao: number;
  readonly msr50: number;
  readonly msr75: number;
  /** In the order given. */
  readonly sequences: readonly OverlapScore[];
}

export const got10kThresholds: readonly number[] = Array.from({ length: 101 }, (_, i) => i * 0.01);
const SLACK = 1e-12;

/**
 * A box as the toolkit cuts it at the picture: its corner comes in, and then its sides end there. What lay left of 0 is
 * not cut off the width.
 */
export function cutAtPicture({ x, y, w, h }: Box, width: number, height: number): Box {
  const within = (value: number, most: number) => Math.min(most, Math.max(0, value));
  const [left, top] = [within(x, width), within(y, height)];
  return { x: left, y: top, w: within(w, width - left), h: within(h, height - top) };
}

/** Of the frames that count: not the first, which was given, and none in which the target is hidden. */
export function got10kOverlaps({ truth, results, cover, width, height }: Got10kSequence): readonly number[] {
  return truth.flatMap((box, i) => {
    if (i === 0 || (cover !== undefined && !(cover[i] > 0))) return [];
    return [overlapOf(cutAtPicture(box, width, height), cutAtPicture(results[i], width, height))];
  });
}

const meanOf = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
const above = (values: readonly number[], t: number) => meanOf(values.map((value) => (value > t + SLACK ? 1 : 0)));

function overlapScore(overlaps: readonly number[]): OverlapScore {
  return { frames: overlaps.length, ao: meanOf(overlaps), sr50: above(overlaps, 0.5), sr75: above(overlaps, 0.75) };
}

/** @param sequences at least one */
export function got10kScore(sequences: readonly Got10kSequence[]): Got10kScore {
  const each = sequences.map(got10kOverlaps);
  const all = each.flat();
  const scores = each.map(overlapScore);
  const classes = new Map<string | undefined, OverlapScore[]>();
  for (const [i, { objectClass }] of sequences.entries()) {
    // A sequence of which no frame counts says nothing of its class.
    if (scores[i].frames === 0) continue;
    const known = classes.get(objectClass);
    if (known) known.push(scores[i]);
    else classes.set(objectClass, [scores[i]]);
  }
  const byClass = (of: (score: OverlapScore) => number) =>
    meanOf([...classes.values()].map((members) => meanOf(members.map(of))));
  return {
    ...overlapScore(all),
    success: got10kThresholds.map((t) => above(all, t)),
    mao: byClass(({ ao }) => ao),
    msr50: byClass(({ sr50 }) => sr50),
    msr75: byClass(({ sr75 }) => sr75),
    sequences: scores,
  };
}
