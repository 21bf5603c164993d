// One pass evaluation of a tracker, as the toolkits of OTB and UAV123 score it: success, precision and normalised
// precision (Wu et al., 2013 and 2015; Müller et al., 2018), in the three ways in which toolkits count frames without a
// target.

import type { Box } from "./box.ts";
import { centreError, hasArea, hasNaN, overlapOf } from "./overlap.ts";

/**
 * - `all`: every frame counts (the GOT-10k toolkit on OTB).
 * - `drop`: frames whose truth is NaN do not (the GOT-10k toolkit on UAV123).
 * - `keep`: frames whose truth is NaN, or has a number that is not above 0, count: a miss in success, a hit in
 *   precision; a result that is no box is the one before it (OTB's Matlab code).
 */
export const protocols = ["all", "drop", "keep"] as const;
export type Protocol = (typeof protocols)[number];

/** Ties are decided alike however the last bit was rounded. */
const SLACK = 1e-12;

const steps = (n: number, step: number) => Array.from({ length: n }, (_, i) => i * step);
/** Of overlap, 0 to 1. A perfect tracker is above 20 of the 21. */
export const successThresholds: readonly number[] = steps(21, 0.05);
/** Of distance, in pixels. */
export const precisionThresholds: readonly number[] = steps(51, 1);
/** Of distance, in sides of the true box. */
export const normalisedThresholds: readonly number[] = steps(51, 0.01);
const PIXELS_20 = 20;
const NORMALISED_20 = 20;

/** Curves are shares of frames, one a threshold. */
export interface SequenceScore {
  /** Frames that count. */
  readonly frames: number;
  readonly success: readonly number[];
  readonly precision: readonly number[];
  readonly normalised: readonly number[];
  /** Mean of the success curve. */
  readonly auc: number;
  /** Share of frames within 20 pixels. */
  readonly p20: number;
  /** Share of frames within 0.2 of the true box's sides. */
  readonly normalisedP20: number;
  /** Share of frames with an overlap above one half. */
  readonly sr50: number;
}

/** What stands for a frame whose truth is no box: no overlap is above it, and every distance within reach. */
const NO_OVERLAP = -1;
const NO_ERROR = -1;

interface FrameErrors {
  readonly overlap: number;
  readonly error: number;
  readonly normalised: number;
}

const anyNotPositive = ({ x, y, w, h }: Box) => x <= 0 || y <= 0 || w <= 0 || h <= 0;
/** A distance that is none is beyond all thresholds. */
const orFar = (error: number) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);

function frameErrors(truth: Box, result: Box): FrameErrors {
  return {
    overlap: overlapOf(truth, result),
    error: orFar(centreError(truth, result)),
    normalised: orFar(centreError(truth, result, truth)),
  };
}

/** Results with the box before in the place of what is none. */
function withPrevious(results: readonly Box[]): readonly Box[] {
  let before = results[0];
  return results.map((result) => {
    if (hasArea(result)) before = result;
    return before;
  });
}

function errorsOf(truth: readonly Box[], results: readonly Box[], protocol: Protocol): readonly FrameErrors[] {
  // The first box was given.
  const answered = [truth[0], ...results.slice(1)];
  const counted = protocol === "keep" ? withPrevious(answered) : answered;
  return truth.flatMap((box, i) => {
    if (protocol === "drop" && hasNaN(box)) return [];
    if (protocol === "keep" && (hasNaN(box) || anyNotPositive(box))) {
      return [{ overlap: NO_OVERLAP, error: NO_ERROR, normalised: NO_ERROR }];
    }
    return [frameErrors(box, counted[i])];
  });
}

const meanOf = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;

/** The shares of values above, or up to, each threshold. */
function shareAbove(values: readonly number[], thresholds: readonly number[]): readonly number[] {
  return thresholds.map((t) => meanOf(values.map((value) => (value > t + SLACK ? 1 : 0))));
}
function shareWithin(values: readonly number[], thresholds: readonly number[]): readonly number[] {
  return thresholds.map((t) => meanOf(values.map((value) => (value <= t + SLACK ? 1 : 0))));
}

/**
 * @param truth a box a frame, NaN where there is none
 * @param results as many; the first is not looked at, since it was given
 */
export function sequenceScore(truth: readonly Box[], results: readonly Box[], protocol: Protocol): SequenceScore {
  const errors = errorsOf(truth, results, protocol);
  const overlaps = errors.map(({ overlap }) => overlap);
  const success = shareAbove(overlaps, successThresholds);
  const precision = shareWithin(
    errors.map(({ error }) => error),
    precisionThresholds,
  );
  const normalised = shareWithin(
    errors.map((one) => one.normalised),
    normalisedThresholds,
  );
  return {
    frames: errors.length,
    success,
    precision,
    normalised,
    auc: meanOf(success),
    p20: precision[PIXELS_20],
    normalisedP20: normalised[NORMALISED_20],
    sr50: shareAbove(overlaps, [0.5])[0],
  };
}

export type MeanScore = Omit<SequenceScore, "frames"> & { readonly sequences: number };

const meanCurve = (curves: readonly (readonly number[])[]) =>
  curves[0].map((_, i) => meanOf(curves.map((curve) => curve[i])));

/**
 * Of a data set: the mean of its sequences, whatever their lengths.
 * @param scores at least one
 */
export function meanScore(scores: readonly SequenceScore[]): MeanScore {
  return {
    sequences: scores.length,
    success: meanCurve(scores.map(({ success }) => success)),
    precision: meanCurve(scores.map(({ precision }) => precision)),
    normalised: meanCurve(scores.map(({ normalised }) => normalised)),
    auc: meanOf(scores.map(({ auc }) => auc)),
    p20: meanOf(scores.map(({ p20 }) => p20)),
    normalisedP20: meanOf(scores.map(({ normalisedP20 }) => normalisedP20)),
    sr50: meanOf(scores.map(({ sr50 }) => sr50)),
  };
}
