// The unit 2^e of a tensor's integers: chosen from the largest value of the step before, so that sums stay exact and
// nothing is clipped in practice.

import { ceilingExponentOf, nearestExponent } from "../../shared/base/powers-of-two.ts";
import { plainUnit, type UnitFrom } from "../../shared/codecs/codec.ts";
import type { ContributionTensor } from "../../shared/wire/contribution.ts";

/** Room left above the largest value seen: the next step's may be this many times as large before it is clipped. */
const headroomBits = 3;
/** A lease may be so many bits larger than a microbatch (128 of them); a lease's difference has them all for itself. */
const leaseBits = 7;
/** What a lease may name (protocol.ts); 2^e is a normal float32 within it. */
const largestExponent = 126;

/** Of a tensor whose unit follows from means nothing is known at first either. */
function bitsOf(unit: UnitFrom): number {
  return unit.from === "largest" ? unit.bits : plainUnit.bits;
}

/** Before anything is known of a tensor: 2^5 fits a gradient's bits, 2^15 a statistic's. Metrics always have theirs. */
export function initialExponent(kind: ContributionTensor["kind"], batch: number, unit: UnitFrom = plainUnit): number {
  const bits = bitsOf(unit);
  switch (kind) {
    case "gradient":
      return 5 - bits;
    // A lease's samples times how far they moved a parameter: 8 for each sample of the batch fits the bits of a lease.
    case "difference":
      return Math.min(largestExponent, ceilingExponentOf(batch) + headroomBits - bits - leaseBits);
    case "statistic":
      return 15 - bits;
    case "metric":
      return -12;
    default:
      return kind satisfies never;
  }
}

/**
 * The smallest e for which 8·peak is at most 2^bits units of 2^e, within ±126. A peak of 0 says nothing: `previous`
 * stays.
 * @param peak largest |value| of a microbatch, finite
 */
export function nextExponent(peak: number, previous: number, bits: number = plainUnit.bits): number {
  if (!(peak >= 0 && peak < Infinity)) throw new RangeError(`exponents: a peak is finite and at least 0, got ${peak}`);
  if (peak === 0) return previous;
  const exponent = ceilingExponentOf(peak) + headroomBits - bits;
  return Math.min(largestExponent, Math.max(-largestExponent, exponent));
}

/**
 * The largest peak for which nextExponent() gives this exponent; infinite for what no peak was ever seen of, for
 * metrics, and for differences, which grow with the leases.
 */
export function largestPeakOf(kind: ContributionTensor["kind"], exponent: number, unit: UnitFrom = plainUnit): number {
  if (kind === "difference" || kind === "metric" || exponent === initialExponent(kind, 0, unit)) return Infinity;
  return 2 ** (exponent + bitsOf(unit) - headroomBits);
}

/**
 * The exponent of the power of two nearest to the mean |c| that workers report, within ±126: where a codec says so
 * (`sign`), a tensor's unit is the scale of its signs, one step behind. A mean of 0 says nothing: `previous` stays.
 */
export function nextScaleExponent(mean: number, previous: number): number {
  if (!(mean >= 0 && mean < Infinity)) throw new RangeError(`exponents: a mean is finite and at least 0, got ${mean}`);
  if (mean === 0) return previous;
  return Math.min(largestExponent, Math.max(-largestExponent, nearestExponent(mean)));
}
