// Sets of integers as ranges: which positions of an epoch are committed. Immutable, so a decision can keep the one it
// saw.
import { BitswarmError } from "./errors.ts";
import { OrderedMap } from "./ordered-map.ts";

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
  /** The set without what of `range` is in it. */
  remove(range: Range): IntervalSet;
  /** The parts of `range` that are in the set, ascending. */
  overlap(range: Range): readonly Range[];
  /** What of [0, size) is not in the set. */
  complement(size: number): IntervalSet;
  toJSON(): readonly (readonly [number, number])[];
}

/** A set of no integers. */
export const emptyIntervals: IntervalSet = setOf(OrderedMap.of(), 0);

function requireRange({ from, to }: Range): void {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to < from) {
    throw new BitswarmError("LEDGER_VIOLATION", `range [${from}, ${to}): expected integers 0 ≤ from ≤ to`);
  }
}

/** @param ends by the beginnings of the ranges, ascending, none empty, none touching the next */
function setOf(ends: OrderedMap<number>, size: number): IntervalSet {
  let listed: readonly Range[] | undefined;
  const overlap = (range: Range): readonly Range[] => {
    requireRange(range);
    const parts: Range[] = [];
    const first = ends.atMost(range.from) ?? ends.above(range.from);
    for (let entry = first; entry && entry[0] < range.to; entry = ends.above(entry[0])) {
      const part = { from: Math.max(entry[0], range.from), to: Math.min(entry[1], range.to) };
      if (part.from < part.to) parts.push(part);
    }
    return parts;
  };
  return {
    get ranges() {
      listed ??= [...ends].map(([from, to]) => ({ from, to }));
      return listed;
    },
    size,
    overlap,
    add: (range) => {
      const [taken] = overlap(range);
      if (taken) {
        throw new BitswarmError(
          "LEDGER_VIOLATION",
          `range [${range.from}, ${range.to}): [${taken.from}, ${taken.to}) is already in the set`,
        );
      }
      if (range.from === range.to) return setOf(ends, size);
      const before = ends.atMost(range.from);
      const from = before && before[1] === range.from ? before[0] : range.from;
      const after = ends.get(range.to);
      const rest = after === undefined ? ends : ends.delete(range.to);
      return setOf(rest.set(from, after ?? range.to), size + range.to - range.from);
    },
    remove: (range) => {
      let rest = ends;
      let less = 0;
      for (const part of overlap(range)) {
        const [from, to] = rest.atMost(part.from) as readonly [number, number];
        rest = from < part.from ? rest.set(from, part.from) : rest.delete(from);
        if (part.to < to) rest = rest.set(part.to, to);
        less += part.to - part.from;
      }
      return setOf(rest, size - less);
    },
    complement: (end) => {
      let gaps = OrderedMap.of<number>();
      let missing = 0;
      const gap = (from: number, to: number) => {
        if (from >= to) return;
        gaps = gaps.set(from, to);
        missing += to - from;
      };
      let at = 0;
      for (const [from, to] of ends) {
        if (from >= end) break;
        gap(at, from);
        at = to;
      }
      gap(at, end);
      return setOf(gaps, missing);
    },
    toJSON: () => [...ends],
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
