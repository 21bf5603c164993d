// Rules of the order of an epoch.
import fc from "fast-check";
import { expect, test } from "vitest";
import { permutation } from "../../../shared/base/permutation.ts";

function all(size: number, ...address: [number | string, ...(number | string)[]]): number[] {
  const order = permutation(size, ...address);
  return Array.from({ length: size }, (_, position) => order.at(position));
}

function isBijection(order: readonly number[]): boolean {
  const seen = new Uint8Array(order.length);
  for (const element of order) seen[element]!++;
  return seen.every((count) => count === 1);
}

test("every size from 1 to 300 gives a bijection", () => {
  for (let size = 1; size <= 300; size++) expect(isBijection(all(size, "every", size)), `${size}`).toBe(true);
});

test("any size and any seed give a bijection", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer(), (size, seed) => {
      expect(isBijection(all(size, seed))).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test("an order never changes from one release to the next", () => {
  expect(all(10, 1, "order", 0)).toEqual([1, 0, 7, 8, 2, 3, 4, 6, 9, 5]);
});

test("the same address gives the same order, another epoch another", () => {
  expect(all(1000, 5, "order", 1)).toEqual(all(1000, 5, "order", 1));
  const here = all(1000, 5, "order", 1);
  const there = all(1000, 5, "order", 2);
  const same = here.filter((element, position) => element === there[position]).length;
  expect(same).toBeLessThan(10);
});

test("every element is about equally likely at every position", () => {
  const size = 6;
  const epochs = 6000;
  const counts = new Array<number>(size * size).fill(0);
  for (let epoch = 0; epoch < epochs; epoch++) {
    all(size, "likely", epoch).forEach((element, position) => {
      counts[position * size + element]!++;
    });
  }
  for (const count of counts) expect(Math.abs(count - epochs / size)).toBeLessThan(150);
});

test("elements drawn one after another are not neighbours more often than by chance", () => {
  const order = all(10_000, "neighbours");
  const near = order.filter((element, i) => i > 0 && Math.abs(element - order[i - 1]!) <= 10).length;
  expect(near).toBeGreaterThan(10); // 20 in 10,000 by chance
  expect(near).toBeLessThan(35);
});

test("a size over 2^32 stays in range and distinct", () => {
  const size = 2 ** 52;
  const order = permutation(size, "large");
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) seen.add(order.at(i * 4_000_000_007));
  expect(seen.size).toBe(1000);
  for (const element of seen) expect(Number.isSafeInteger(element) && element >= 0 && element < size).toBe(true);
});

test("a position outside and a size that holds none are refused", () => {
  const order = permutation(10, 1);
  for (const position of [-1, 10, 0.5, NaN]) expect(() => order.at(position)).toThrow(RangeError);
  for (const size of [0, -1, 1.5, NaN, 2 ** 53]) expect(() => permutation(size, 1)).toThrow(RangeError);
});
