// exp and ln of + − × ÷ alone, which IEEE 754 rounds in one way: Math.exp and Math.log may differ between engines in
// the last bit, and once in a while a box with them.

/** The first 32 bits of ln 2, so that a small whole number times it is exact, and the rest. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** e^x for |x| ≤ 700, within a bit or two: Taylor's series of what is left after powers of two, which are exact. */
export function exponential(x: number): number {
  if (!(Math.abs(x) <= 700)) throw new RangeError(`exponential: |x| must be at most 700, got ${x}`);
  const twos = Math.floor(x / Math.LN2 + 0.5);
  const rest = x - twos * LN2_HIGH - twos * LN2_LOW;
  // |rest| ≤ 0.35: the term after the 14th is below 2^-62.
  let sum = 1;
  for (let n = 14; n >= 1; n--) sum = 1 + (rest / n) * sum;
  let result = sum;
  for (let i = 0; i < twos; i++) result *= 2;
  for (let i = 0; i > twos; i--) result /= 2;
  return result;
}

/** ln x for x > 0, within a bit or two: the series of the area tangent, 2·(s + s³/3 + …) of s = (m − 1)/(m + 1). */
export function logarithm(x: number): number {
  if (!(x > 0 && x < Number.POSITIVE_INFINITY))
    throw new RangeError(`logarithm: x must be positive and finite, got ${x}`);
  let mantissa = x;
  let twos = 0;
  for (; mantissa > Math.SQRT2; twos++) mantissa /= 2;
  for (; mantissa < Math.SQRT1_2; twos--) mantissa *= 2;
  const s = (mantissa - 1) / (mantissa + 1);
  const square = s * s;
  // s² ≤ 0.0295: the term after the 12th is below 2^-63 of the sum.
  let sum = 0;
  for (let n = 12; n >= 0; n--) sum = sum * square + 1 / (2 * n + 1);
  return twos * LN2_HIGH + (2 * s * sum + twos * LN2_LOW);
}
