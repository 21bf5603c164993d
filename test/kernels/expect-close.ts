// The comparison of every float kernel: an error bound that follows from the sum's length, and the worst element named.
import { expect } from "vitest";
import type { Sums } from "./reference.ts";

/** Rounding of one f32 operation. */
const UNIT = 2 ** -24;

/** Fails unless |actual − expected| ≤ limit everywhere; names the worst index. */
export function expectWithin(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  limit: number,
  what: string,
): void {
  expect(actual.length, `${what}: length`).toBe(expected.length);
  let worst = 0;
  let index = -1;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    if (!(error <= worst)) {
      worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
      index = i;
    }
    if (worst === Number.POSITIVE_INFINITY) break;
  }
  if (worst > limit) {
    throw new Error(
      `${what}: |${actual[index]} − ${expected[index]}| = ${worst} at index ${index} of ${expected.length} exceeds ${limit}`,
    );
  }
}

/** A sum of K products in order errs by less than 32·√K·2⁻²⁴ times the greatest product for K to some thousands. */
export function expectSums(actual: ArrayLike<number>, expected: Sums, what: string): void {
  const limit = 32 * Math.sqrt(expected.terms) * UNIT * Math.max(expected.greatest, 2 ** -100);
  expectWithin(actual, expected.values, limit, what);
}
