// Rules of sets of ranges, against a plain Set of integers.
import fc from "fast-check";
import { expect, test } from "vitest";
import { BitswarmError } from "../../../shared/base/errors.ts";
import {
  emptyIntervals,
  type IntervalSet,
  intervalSet,
  intervalsFromJSON,
  type Range,
} from "../../../shared/base/intervals.ts";

const anyRange = fc.tuple(fc.nat(60), fc.nat(8)).map(([from, length]): Range => ({ from, to: from + length }));
const anyRanges = fc.array(anyRange, { maxLength: 20 });

function integers(ranges: readonly Range[]): number[] {
  return ranges.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i));
}

/** Adds what does not overlap; the Set does the same one integer at a time. */
function build(ranges: readonly Range[]): { set: IntervalSet; plain: Set<number> } {
  let set = emptyIntervals;
  const plain = new Set<number>();
  for (const range of ranges) {
    const elements = integers([range]);
    if (elements.some((element) => plain.has(element))) {
      expect(() => set.add(range)).toThrow(BitswarmError);
      continue;
    }
    set = set.add(range);
    for (const element of elements) plain.add(element);
  }
  return { set, plain };
}

function sorted(plain: Iterable<number>): number[] {
  return [...plain].sort((a, b) => a - b);
}

test("a set holds the integers that were added, and refuses every range that holds one of them", () => {
  fc.assert(
    fc.property(anyRanges, (ranges) => {
      const { set, plain } = build(ranges);
      expect(integers(set.ranges)).toEqual(sorted(plain));
      expect(set.size).toBe(plain.size);
    }),
  );
});

test("what is removed is gone, whatever of it was in the set", () => {
  fc.assert(
    fc.property(anyRanges, anyRange, (ranges, removed) => {
      const { set, plain } = build(ranges);
      for (const element of integers([removed])) plain.delete(element);
      const rest = set.remove(removed);
      expect(integers(rest.ranges)).toEqual(sorted(plain));
      expect(rest.size).toBe(plain.size);
      expect(rest.ranges).toEqual(intervalSet(rest.ranges).ranges);
    }),
  );
});

test("ranges stay ascending, none empty, none touching the next", () => {
  fc.assert(
    fc.property(anyRanges, (ranges) => {
      let end = -1;
      for (const { from, to } of build(ranges).set.ranges) {
        expect(from).toBeGreaterThan(end);
        expect(to).toBeGreaterThan(from);
        end = to;
      }
    }),
  );
});

test("overlap is what the set and the range have in common", () => {
  fc.assert(
    fc.property(anyRanges, anyRange, (ranges, range) => {
      const { set, plain } = build(ranges);
      expect(integers(set.overlap(range))).toEqual(integers([range]).filter((element) => plain.has(element)));
    }),
  );
});

test("the complement is what of [0, size) is missing, and with it the set covers [0, size)", () => {
  fc.assert(
    fc.property(anyRanges, fc.nat(80), (ranges, size) => {
      const { set, plain } = build(ranges);
      const missing = set.complement(size);
      expect(integers(missing.ranges)).toEqual(integers([{ from: 0, to: size }]).filter((x) => !plain.has(x)));
      const whole = missing.ranges.reduce((union, range) => union.add(range), set);
      if (size >= 68) expect(whole.ranges).toEqual(size > 0 ? [{ from: 0, to: size }] : []);
    }),
  );
});

test("adding never changes the set it is added to", () => {
  const before = intervalSet([{ from: 0, to: 4 }]);
  before.add({ from: 4, to: 8 });
  expect(before.ranges).toEqual([{ from: 0, to: 4 }]);
});

test("the order of additions does not matter", () => {
  const ranges = [0, 1, 2, 3, 4, 5, 6].map((i) => ({ from: i * 10, to: i * 10 + (i % 2 ? 10 : 5) }));
  fc.assert(
    fc.property(fc.shuffledSubarray(ranges, { minLength: ranges.length }), (order) => {
      expect(intervalSet(order).ranges).toEqual(intervalSet(ranges).ranges);
    }),
  );
});

test("JSON gives the same set back", () => {
  fc.assert(
    fc.property(anyRanges, (ranges) => {
      const { set } = build(ranges);
      expect(intervalsFromJSON(JSON.parse(JSON.stringify(set))).ranges).toEqual(set.ranges);
    }),
  );
});

test("an overlap is a LEDGER_VIOLATION that names the range and the part that is taken", () => {
  const set = intervalSet([{ from: 64, to: 128 }]);
  expect(() => set.add({ from: 96, to: 160 })).toThrow(
    expect.objectContaining({
      code: "LEDGER_VIOLATION",
      message: expect.stringMatching(/\[96, 160\).*\[96, 128\)/),
    }),
  );
});

test("JSON that is not pairs of integers, disjoint, is a LEDGER_VIOLATION", () => {
  const broken = [
    null,
    3,
    "x",
    {},
    [3],
    [[1]],
    [[1, 2, 3]],
    [["1", 2]],
    [[2, 1]],
    [[-1, 2]],
    [[0.5, 2]],
    [
      [0, 4],
      [3, 5],
    ],
  ];
  for (const json of broken) {
    expect(() => intervalsFromJSON(json), JSON.stringify(json)).toThrow(
      expect.objectContaining({ code: "LEDGER_VIOLATION" }),
    );
  }
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      try {
        intervalsFromJSON(json);
      } catch (error) {
        expect(error).toBeInstanceOf(BitswarmError);
      }
    }),
  );
});
