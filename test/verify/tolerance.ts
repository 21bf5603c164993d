// How far a result may be from the oracle's: the roundings of f32, counted.

import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import type { OracleCase } from "./oracle-case.ts";

/** Factor over the size of a random walk of roundings. */
export const SAFETY = 8;

/** A value that is rounded once or twice, or a sum of `terms` of its size. */
export function rounded(name: string, actual: ArrayLike<number>, test: OracleCase, terms = 1): Comparison {
  const oracle = test.tensor(`out.${name}`);
  return compare(name, actual, oracle, SAFETY * Math.sqrt(terms) * EPSILON * Math.max(1e-30, maxAbs(oracle.data)));
}

/** A sum of `terms` products, each at most `product`, rounded term by term. */
export function summed(
  name: string,
  actual: ArrayLike<number>,
  test: OracleCase,
  terms: number,
  product: number,
): Comparison {
  const oracle = test.tensor(`out.${name}`);
  return compare(name, actual, oracle, SAFETY * Math.sqrt(terms) * EPSILON * Math.max(product, maxAbs(oracle.data)));
}

/** Whole numbers, and what is nothing but a choice between values: not a bit may differ. */
export function same(name: string, actual: ArrayLike<number>, test: OracleCase): Comparison {
  return compare(name, actual, test.tensor(`out.${name}`), 0);
}
