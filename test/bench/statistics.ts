// The few statistics of a benchmark on a machine where other work disturbs it.

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("the median of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function best(values: readonly number[]): number {
  return Math.min(...values);
}

/** The median of slow[i] / fast[i], measured one after the other. */
export function pairedRatio(slow: readonly number[], fast: readonly number[]): number {
  return median(slow.slice(0, fast.length).map((ms, i) => ms / fast[i]));
}

/** `digits` significant digits, so that lines stay short. */
export function rounded(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}

/** Of the angle between two vectors of one length; NaN where one is 0. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return dot / Math.sqrt(aa * bb);
}
