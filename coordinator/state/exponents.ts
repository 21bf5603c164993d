// The unit of each tensor's integers in a step: chosen from the largest value of the step before, so that sums stay exact and nothing is clipped in practice.

import { nearestExponent } from "../../shared/base/powers-of-two.ts";
import type { ContributionLayout, ContributionTensor, RoundKind } from "../../shared/wire/contribution.ts";
import { type GradientCodec, reportsMean } from "../../shared/wire/wire-layout.ts";
import type { TrainingState } from "./training-state.ts";

/** Room left above the largest value seen: the next step's may be this many times as large before it is clipped. */
const headroomBits = 3;
/** One microbatch's value takes at most this many bits beside the sign. */
const valueBits = 23;
/** A lease's difference takes at most this many: nothing is added to it on the device. */
const leaseBits = 30;
/** What a lease may name (protocol.ts); 2^e is a normal float32 within it. */
const largestExponent = 126;

const float64Value = new Float64Array(1);
const float64Words = new Uint32Array(float64Value.buffer);
const float32Bits = new Uint32Array(1);
const float32Value = new Float32Array(float32Bits.buffer);

/** 2^exponent for −126 ≤ exponent ≤ 127, built from its bits: Math.pow is only required to be approximate. */
export function unitOf(exponent: number): number {
  if (!Number.isInteger(exponent) || exponent < -126 || exponent > 127) {
    throw new RangeError(`exponents: an exponent is an integer from -126 to 127, got ${exponent}`);
  }
  float32Bits[0] = (exponent + 127) << 23;
  return float32Value[0];
}

/** ⌈log2 x⌉ of a positive double that is not subnormal: a float32 never is one. */
function ceilLog2(x: number): number {
  float64Value[0] = x;
  const [low, high] = float64Words;
  const floor = ((high >>> 20) & 0x7ff) - 1023;
  return low === 0 && (high & 0xfffff) === 0 ? floor : floor + 1;
}

/** Before anything is known of a tensor: 2^5 fits a gradient's 23 bits, 2^15 a statistic's. Metrics always have theirs. */
export function initialExponent(kind: ContributionTensor["kind"], batch: number): number {
  switch (kind) {
    case "gradient":
      return -18;
    // A lease's samples times how far they moved a parameter: 8 for each sample of the batch fits the 30 bits of a lease.
    case "difference":
      return Math.min(largestExponent, ceilLog2(batch) + headroomBits - leaseBits);
    case "statistic":
      return -8;
    case "metric":
      return -12;
    default:
      return kind satisfies never;
  }
}

/**
 * The smallest e for which 8·peak is at most 2^23 units of 2^e, within ±126. A peak of 0 says nothing: `previous` stays.
 * @param peak largest |value| of a microbatch, finite
 */
export function nextExponent(peak: number, previous: number): number {
  if (!(peak >= 0 && peak < Infinity)) throw new RangeError(`exponents: a peak is finite and at least 0, got ${peak}`);
  if (peak === 0) return previous;
  const exponent = ceilLog2(peak) + headroomBits - valueBits;
  return Math.min(largestExponent, Math.max(-largestExponent, exponent));
}

/**
 * The largest peak for which nextExponent() gives this exponent; infinite for what no peak was ever seen of, for metrics, and
 * for differences, which grow with the leases.
 */
export function largestPeakOf(kind: ContributionTensor["kind"], exponent: number): number {
  if (kind === "difference" || kind === "metric" || exponent === initialExponent(kind, 0)) return Infinity;
  return 2 ** (exponent + valueBits - headroomBits);
}

/**
 * The exponent of the power of two nearest to the mean |c| that workers report, within ±126: with the codec `sign` a
 * tensor's unit is its scale, one step behind. A mean of 0 says nothing: `previous` stays.
 */
export function nextScaleExponent(mean: number, previous: number): number {
  if (!(mean >= 0 && mean < Infinity)) throw new RangeError(`exponents: a mean is finite and at least 0, got ${mean}`);
  if (mean === 0) return previous;
  return Math.min(largestExponent, Math.max(-largestExponent, nearestExponent(mean)));
}

function keyOf(kind: RoundKind, tensor: ContributionTensor): string {
  return `${kind}/${tensor.name}`;
}

interface ExponentHolder extends Pick<TrainingState, "exponents"> {
  readonly config: Pick<TrainingState["config"], "batch">;
}

/** Unit 2^e of each tensor of a round's layout, in the layout's order. */
export function exponentsFor(state: ExponentHolder, kind: RoundKind, layout: ContributionLayout): number[] {
  const { batch } = state.config;
  return layout.tensors.map(
    (tensor) => state.exponents.get(keyOf(kind, tensor)) ?? initialExponent(tensor.kind, batch),
  );
}

/** What a round leaves behind for the units of the next. */
export interface RoundPeaks {
  readonly layout: ContributionLayout;
  readonly codec: GradientCodec;
  /** One value a tensor: the largest magnitude, or the mean |c| of one that travels as signs. */
  readonly peaks: ArrayLike<number>;
}

/** Fixes the units of the next round of this kind; metrics keep theirs. */
export function recordPeaks(state: ExponentHolder, kind: RoundKind, { layout, codec, peaks }: RoundPeaks): void {
  const previous = exponentsFor(state, kind, layout);
  layout.tensors.forEach((tensor, index) => {
    if (tensor.kind === "metric") return;
    const next = reportsMean({ codec }, tensor) ? nextScaleExponent : nextExponent;
    state.exponents.set(keyOf(kind, tensor), next(peaks[index], previous[index]));
  });
}
