// Whether two libraries computed the same thing.

import type { Emit } from "../line.ts";
import { rounded } from "../statistics.ts";

/** ‖a − b‖ / ‖b‖ in the Euclidean norm. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`${a.length} values are compared with ${b.length}`);
  let difference = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(difference / Math.max(size, Number.MIN_VALUE));
}

export interface Agreement {
  readonly name: string;
  readonly library: string;
  readonly tensor: string;
  readonly tolerance: number;
}

export async function reportAgreement(o: Agreement, error: number, emit: Emit): Promise<void> {
  await emit({ record: "agreement", ...o, error: rounded(error, 3), agrees: error <= o.tolerance });
}
