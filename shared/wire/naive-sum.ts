// The naive sum of contributions, kept as documentation of what coordinator/sum/reduction does fast, and as its oracle:
// every value becomes an integer multiple of its tensor's unit, so that float64 addition is exact and the order in
// which contributions arrive cannot change a bit of the result.

import { BitswarmError } from "../base/errors.ts";
import { powerOfTwo, roundToEven } from "../base/powers-of-two.ts";
import { blockSize, clipUnits } from "../codecs/codec.ts";
import type { WireLayout } from "./wire-layout.ts";

/** Units from 2^-126 to 2^126, as leases may name them. */
const largestUnitExponent = 126;

/**
 * Adds a contribution's body to `sum` [plain + wide], in units and in the wire's order: each value is divided by its
 * tensor's unit, clipped to ±2^30 and rounded to the nearest integer, ties to even; a sign counts as ±samples units.
 * All checks come first, so that a failure leaves `sum` as it was.
 * @param body of any alignment
 * @param exponents one a tensor of the contribution layout
 * @throws CONTRIBUTION_MISMATCH for a body of another length, GRADIENT_NOT_FINITE for a float that is not finite
 */
export function addContribution(
  wire: WireLayout,
  body: Uint8Array,
  samples: number,
  exponents: ArrayLike<number>,
  sum: Float64Array,
): void {
  const { codec, plain, wide, segments, bytes } = wire;
  if (sum.length !== plain + wide) {
    throw new RangeError(`codec: a sum of ${plain + wide} elements, got ${sum.length}`);
  }
  for (const tensor of segments) {
    const exponent = exponents[tensor];
    if (exponent === undefined || Math.abs(exponent) > largestUnitExponent) {
      throw new RangeError(`codec: tensor ${tensor} has exponent ${exponent}, the limit is ±${largestUnitExponent}`);
    }
  }
  if (body.length !== bytes) {
    throw new BitswarmError(
      "CONTRIBUTION_MISMATCH",
      `contribution: ${codec.kind} of ${sum.length} elements takes ${bytes} bytes, got ${body.length}`,
    );
  }
  const valueAt = reader(wire, body, samples, exponents);
  for (let i = 0; i < sum.length; i++) {
    if (Math.abs(valueAt(i)) < Infinity) continue;
    const tensor = wire.tensors.findLast(({ at }) => at <= i);
    throw new BitswarmError(
      "GRADIENT_NOT_FINITE",
      `contribution: element ${i - (tensor?.at ?? 0)} of ${tensor?.name} is ${valueAt(i)}; only finite gradients count`,
    );
  }
  for (let i = 0; i < sum.length; i++) sum[i] += roundToEven(Math.min(clipUnits, Math.max(-clipUnits, valueAt(i))));
}

/** Element i of a body, in units. */
function reader(
  { codec, plain, coded, segments }: WireLayout,
  body: Uint8Array,
  samples: number,
  exponents: ArrayLike<number>,
): (i: number) => number {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const tail = new DataView(body.buffer, body.byteOffset + 4 * plain, body.byteLength - 4 * plain);
  const codedAt = codec.coding?.read(tail, { ...coded, exponents, samples });
  const integers = codec.accumulate === "exact";
  return (i) => {
    if (codedAt && i >= plain) return codedAt(i - plain);
    if (integers) return view.getInt32(4 * i, true);
    return view.getFloat32(4 * i, true) * powerOfTwo(-exponents[segments[Math.floor(i / blockSize)]]);
  };
}
