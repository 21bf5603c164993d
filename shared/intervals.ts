// Sets of integers as ranges: which positions of an epoch are committed. Immutable, so a decision can keep the one it saw.
import { BitswarmError } from "./errors.ts";

/** The integers from `from` up to, not including, `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface IntervalSet {
  /** Ascending, none empty, none touching the next. */
  readonly ranges: readonly Range[];
  /** How many integers are in the set. */
  readonly size: number;
  /** The set with `range` too. Throws LEDGER_VIOLATION where a part is already in: nothing may count twice. */
  add(range: Range): IntervalSet;
  /** The parts of `range` that are in the set, ascending. */
  overlap(range: Range): readonly Range[];
  /** What of [0, size) is not in the set. */
  complement(size: number): IntervalSet;
  toJSON(): readonly (readonly [number, number])[];
}

/** A set of no integers. */
export const emptyIntervals: IntervalSet = setOf([]);

function requireRange({ from, to }: Range): void {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to < from) {
    throw new BitswarmError("LEDGER_VIOLATION", `range [${from}, ${to}): expected integers 0 ≤ from ≤ to`);
  }
}

/** Index of the first range that ends after `position`. */
function firstEndingAfter(ranges: readonly Range[], position: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.to > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

function setOf(ranges: readonly Range[]): IntervalSet {
  const overlap = (range: Range): readonly Range[] => {
    requireRange(range);
    const parts: Range[] = [];
    if (range.from === range.to) return parts;
    for (let i = firstEndingAfter(ranges, range.from); i < ranges.length && ranges[i]!.from < range.to; i++) {
      parts.push({ from: Math.max(ranges[i]!.from, range.from), to: Math.min(ranges[i]!.to, range.to) });
    }
    return parts;
  };
  return {
    ranges,
    size: ranges.reduce((sum, { from, to }) => sum + to - from, 0),
    overlap,
    add: (range) => {
      const [taken] = overlap(range);
      if (taken) {
        throw new BitswarmError(
          "LEDGER_VIOLATION",
          `range [${range.from}, ${range.to}): [${taken.from}, ${taken.to}) is already in the set`,
        );
      }
      if (range.from === range.to) return setOf(ranges);
      const next = firstEndingAfter(ranges, range.from);
      const before = next > 0 && ranges[next - 1]!.to === range.from ? 1 : 0;
      const after = next < ranges.length && ranges[next]!.from === range.to ? 1 : 0;
      const merged = {
        from: before ? ranges[next - 1]!.from : range.from,
        to: after ? ranges[next]!.to : range.to,
      };
      return setOf(ranges.toSpliced(next - before, before + after, merged));
    },
    complement: (size) => {
      const gaps: Range[] = [];
      let from = 0;
      for (const range of ranges) {
        if (range.from >= size) break;
        if (range.from > from) gaps.push({ from, to: range.from });
        from = range.to;
      }
      if (from < size) gaps.push({ from, to: size });
      return setOf(gaps);
    },
    toJSON: () => ranges.map(({ from, to }) => [from, to] as const),
  };
}

/** The set of ranges in any order. Throws LEDGER_VIOLATION where two overlap. */
export function intervalSet(ranges: Iterable<Range>): IntervalSet {
  let set = emptyIntervals;
  for (const range of ranges) set = set.add(range);
  return set;
}

/** What toJSON() gave, parsed. Throws LEDGER_VIOLATION where it is not pairs of integers, ascending and disjoint. */
export function intervalsFromJSON(json: unknown): IntervalSet {
  if (!Array.isArray(json))
    throw new BitswarmError("LEDGER_VIOLATION", `intervals: expected pairs, got ${typeof json}`);
  const ranges: Range[] = [];
  for (const pair of json) {
    const [from, to, ...rest]: readonly unknown[] = Array.isArray(pair) ? pair : [];
    if (typeof from !== "number" || typeof to !== "number" || rest.length > 0) {
      throw new BitswarmError("LEDGER_VIOLATION", `intervals: expected [from, to], got ${JSON.stringify(pair)}`);
    }
    ranges.push({ from, to });
  }
  return intervalSet(ranges);
}
