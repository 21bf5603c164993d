// The lower median: one of the values itself, so that it has the same bits in any order.

/** @param values at least one, none NaN */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("median: of no values");
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1];
}
