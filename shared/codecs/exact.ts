// `exact`: i32 multiples of the unit, four bytes an element. Integers add up to the same bits in any order and any
// grouping.

import type { Codec } from "./codec.ts";

export const exact: Codec = { kind: "exact", number: 3, accumulate: "exact", exactSums: true, coding: null };
