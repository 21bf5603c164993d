// Means of a few runs and how sure they are: Student's t (Student 1908, "The probable error of a mean"), as three seeds
// are far from enough for a normal distribution.

/** A mean with its interval of 95 %, which is null where there are fewer than two values. */
export interface Estimate {
  readonly n: number;
  readonly mean: number;
  /** Of the sample, over n − 1; null for one value. */
  readonly deviation: number | null;
  /** The interval is mean ± this. */
  readonly half: number | null;
}

/** How sure an interval is. */
export const CONFIDENCE = 0.95;

/** Lanczos's approximation of ln Γ for positive x, g = 7, nine terms: 15 digits. */
const lanczos = [
  0.9999999999998099, 676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
  -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
];

function logGamma(x: number): number {
  const [first, ...terms] = lanczos;
  const sum = terms.reduce((all, term, i) => all + term / (x + i), first);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** Steps of the continued fraction and halvings of an interval: both end far earlier. */
const MOST_STEPS = 300;
const TINY = 1e-300;

/** The regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz's method). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast below its mean.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const away = (value: number) => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= MOST_STEPS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return front * fraction;
}

/** P(|T| ≤ t) of Student's distribution. */
function within(t: number, freedom: number): number {
  return 1 - incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/**
 * The t that so large a share of Student's distribution lies within, on both sides.
 * @param freedom degrees, at least 1 @param share above 0, below 1
 */
export function studentT(freedom: number, share = CONFIDENCE): number {
  let high = 1;
  while (within(high, freedom) < share) high *= 2;
  let low = 0;
  for (let i = 0; i < MOST_STEPS && high - low > 1e-12 * high; i++) {
    const middle = (low + high) / 2;
    if (within(middle, freedom) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** @param values at least one */
export function estimateOf(values: readonly number[]): Estimate {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  if (n < 2) return { n, mean, deviation: null, half: null };
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
  return { n, mean, deviation, half: (studentT(n - 1) * deviation) / Math.sqrt(n) };
}

/** Of the differences between two methods over the seeds that both have; nothing where they share none. */
export function pairedDifference(
  values: ReadonlyMap<number, number>,
  reference: ReadonlyMap<number, number>,
): Estimate | undefined {
  const differences = [...values].flatMap(([seed, value]) => {
    const other = reference.get(seed);
    return other === undefined ? [] : [value - other];
  });
  return differences.length === 0 ? undefined : estimateOf(differences);
}
