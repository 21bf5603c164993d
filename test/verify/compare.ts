// Compares a tensor with the oracle's within a stated bound, and says where it is worst.

import { nhwcToNchw } from "../../shared/model/axes.ts";
import type { OracleTensor } from "./oracle-case.ts";

export interface Comparison {
  readonly tensor: string;
  readonly maxError: number;
  readonly bound: number;
  /** In the oracle's own axes. */
  readonly worstIndex: readonly number[];
  readonly expected: number;
  readonly actual: number;
  readonly passed: boolean;
}

/** Relative rounding of f32. */
export const EPSILON = 2 ** -24;

export function maxAbs(values: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) max = Math.max(max, Math.abs(values[i]));
  return max;
}

function unravel(index: number, shape: readonly number[]): number[] {
  let rest = index;
  return shape.map((_, axis) => {
    const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const at = Math.floor(rest / inner);
    rest %= inner;
    return at;
  });
}

/** @param actual in the GPU's channels-last order where the oracle's shape has four axes */
export function compare(tensor: string, actual: ArrayLike<number>, oracle: OracleTensor, bound: number): Comparison {
  const { shape, data } = oracle;
  if (actual.length !== data.length) {
    throw new RangeError(`${tensor}: got ${actual.length} values, the oracle's shape [${shape}] has ${data.length}`);
  }
  const got = Float32Array.from(actual);
  const values = shape.length === 4 ? nhwcToNchw(got, [shape[0], shape[1], shape[2], shape[3]]) : got;
  let worst = 0;
  let maxError = 0;
  for (let i = 0; i < data.length; i++) {
    const error = Math.abs(values[i] - data[i]);
    // A NaN is worse than any number.
    if (!(error <= maxError)) {
      maxError = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
      worst = i;
    }
  }
  return {
    tensor,
    maxError,
    bound,
    worstIndex: unravel(worst, shape),
    expected: data[worst],
    actual: values[worst],
    passed: maxError <= bound,
  };
}
