// Who is leased which microbatches of a round: those whose chunks it holds, and always each of them once.

import fc from "fast-check";
import { expect, test } from "vitest";
import { heldFirst } from "../../../coordinator/round/held-first.ts";
import { chosenSlots, plainSlots, type Slots } from "../../../coordinator/round/slots.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { intervalSet, type Range } from "../../../shared/base/intervals.ts";
import { samplesOf } from "../../../shared/wire/lease-ranges.ts";

const SIZE = 8;
const [a, b, c] = ["a", "b", "c"].map(workerId);

function bitsOf(chunks: readonly number[]): Uint8Array {
  const bits = new Uint8Array(16);
  for (const chunk of chunks) bits[chunk >> 3] |= 1 << (chunk & 7);
  return bits;
}

/** Slots over ranges whose microbatch i is of the chunks 2i and 2i + 1. @param holds chunks by worker */
function slotsOf(ranges: readonly Range[], holds: Readonly<Record<string, readonly number[]>>): Slots {
  return chosenSlots(ranges, SIZE, (microbatches) => {
    return heldFirst(
      microbatches.map((_, i) => [2 * i, 2 * i + 1]),
      {
        of: (worker) => holds[worker] && bitsOf(holds[worker]),
        holders: (chunk) => Object.values(holds).filter((held) => held.includes(chunk)).length,
      },
    );
  });
}

/** What a worker gets that is leased so many slots from `from` on, by microbatch. */
function leased(slots: Slots, worker: ReturnType<typeof workerId>, from: number, count: number): number[] {
  const range = { from: SIZE * from, to: SIZE * (from + count) };
  slots.settle(worker, range);
  return slots.positionsOf(range).flatMap(({ from: at, to }) => {
    return Array.from({ length: (to - at) / SIZE }, (_, i) => at / SIZE + i);
  });
}

const whole = [{ from: 0, to: 64 }];

test("L54 a worker is leased what it holds most of, of these what few others hold", () => {
  // Of 5 it holds all, of 2, 3 and 7 a half; 7 nobody else.
  const slots = slotsOf(whole, { a: [4, 6, 10, 11, 14], b: [4, 5, 6], c: [6] });
  expect(leased(slots, a, 0, 1)).toEqual([5]);
  expect(leased(slots, a, 1, 1)).toEqual([7]);
  expect(leased(slots, a, 2, 1)).toEqual([2]);
  expect(leased(slots, a, 3, 1)).toEqual([3]);
});

test("L54 and beyond that what few hold, so that there is left for others what they hold", () => {
  const slots = slotsOf(whole, { b: [0, 1, 2], c: [0, 6] });
  expect(leased(slots, a, 0, 4)).toEqual([2, 4, 5, 6]);
  expect(leased(slots, c, 4, 2)).toEqual([0, 3]);
  expect(leased(slots, b, 6, 2)).toEqual([1, 7]);
});

test("L54 where nobody holds anything all is leased in the order of the pass", () => {
  const slots = slotsOf(whole, {});
  expect(leased(slots, a, 0, 3)).toEqual([0, 1, 2]);
  expect(leased(slots, b, 3, 5)).toEqual([3, 4, 5, 6, 7]);
});

test("L56 slots that were leased once have the same positions, in the same order, for everybody after", () => {
  const slots = slotsOf(whole, { a: [12, 13], b: [0, 1] });
  expect(leased(slots, a, 2, 3)).toEqual([1, 2, 6]);
  expect(leased(slots, b, 2, 3)).toEqual([1, 2, 6]);
  // A part of it, as who shows that it answers is lent.
  expect(leased(slots, c, 4, 1)).toHaveLength(1);
  // What is leased across it settles only the rest.
  expect(leased(slots, b, 0, 3)).toEqual([0, 1, 3]);
  expect(slots.positionsOf([{ from: 16, to: 40 }])).toEqual(slots.positionsOf({ from: 16, to: 40 }));
});

test("L57 what was carried over has the first slots, whoever holds it", () => {
  const ranges = [
    { from: 8, to: 16 },
    { from: 40, to: 48 },
    { from: 64, to: 128 },
  ];
  const slots = slotsOf(ranges, { a: [18, 19], b: [2, 3] });
  expect(slots.ranges).toEqual([
    { from: 0, to: 16 },
    { from: 16, to: 80 },
  ]);
  // Carried over are the microbatches 0 and 1 of the round, of which b holds the second.
  expect(leased(slots, b, 0, 1)).toEqual([5]);
  expect(leased(slots, a, 1, 2)).toEqual([1, 15]);
});

test("a short microbatch keeps the last slot", () => {
  const slots = slotsOf([{ from: 0, to: 60 }], { a: [14, 15] });
  expect(slots.ranges).toEqual([{ from: 0, to: 60 }]);
  expect(leased(slots, a, 0, 1)).toEqual([0]);
  slots.settle(a, { from: 48, to: 60 });
  expect(slots.positionsOf({ from: 56, to: 60 })).toEqual([{ from: 56, to: 60 }]);
});

test("slots that are the positions themselves say nothing but their range", () => {
  const lease = { from: 8, to: 16, lease: 3, worker: a };
  expect(plainSlots(whole).positionsOf(lease)).toEqual([{ from: 8, to: 16 }]);
});

test("L55 however slots are leased, every position of the round stands at one of them", () => {
  const held = fc.array(fc.integer({ min: 0, max: 63 }), { maxLength: 40 });
  const world = fc.record({
    carried: fc.integer({ min: 0, max: 4 }),
    fresh: fc.integer({ min: 1, max: 24 }),
    short: fc.integer({ min: 1, max: SIZE }),
    holds: fc.record({ a: held, b: held }),
    sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 30 }),
    backwards: fc.boolean(),
  });
  fc.assert(
    fc.property(world, ({ carried, fresh, short, holds, sizes, backwards }) => {
      const before = Array.from({ length: carried }, (_, i) => ({ from: 2 * SIZE * i, to: 2 * SIZE * i + SIZE }));
      const from = 2 * SIZE * carried;
      const ranges = [...before, { from, to: from + SIZE * fresh - (SIZE - short) }];
      const slots = slotsOf(ranges, holds);
      const cut: Range[] = [];
      for (const range of slots.ranges) {
        for (let at = range.from, i = 0; at < range.to; i++) {
          const to = Math.min(range.to, at + SIZE * sizes[i % sizes.length]);
          cut.push({ from: at, to });
          at = to;
        }
      }
      const parts = (backwards ? cut.reverse() : cut).flatMap((range, i) => {
        slots.settle([a, b, c][i % 3], range);
        const positions = slots.positionsOf(range);
        expect(samplesOf(positions)).toBe(range.to - range.from);
        return positions;
      });
      expect(intervalSet(parts).ranges).toEqual(intervalSet(ranges).ranges);
      expect(intervalSet(slots.positionsOf(slots.ranges)).ranges).toEqual(intervalSet(ranges).ranges);
    }),
  );
});
