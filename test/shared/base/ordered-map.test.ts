// The ordered map against a sorted array, for any history, and what a change leaves as it was.

import fc from "fast-check";
import { expect, test } from "vitest";
import { OrderedMap } from "../../../shared/base/ordered-map.ts";

const anyChange = fc.record({
  key: fc.oneof(fc.nat(60), fc.maxSafeNat()),
  value: fc.nat(),
  remove: fc.boolean(),
});

test("it holds what a Map holds, in the order of its keys, and each version stays as it was", () => {
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 200 }), fc.nat(70), (changes, probe) => {
      const model = new Map<number, number>();
      let map = OrderedMap.of<number>();
      const versions: { readonly map: typeof map; readonly entries: readonly (readonly [number, number])[] }[] = [];
      for (const { key, value, remove } of changes) {
        if (remove) model.delete(key);
        else model.set(key, value);
        map = remove ? map.delete(key) : map.set(key, value);
        versions.push({ map, entries: [...model].sort(([a], [b]) => a - b) });
      }
      for (const version of versions) {
        const { entries } = version;
        expect([...version.map]).toEqual(entries);
        expect(version.map.size).toBe(entries.length);
        expect(version.map.atMost(probe)).toEqual(entries.findLast(([key]) => key <= probe));
        expect(version.map.above(probe)).toEqual(entries.find(([key]) => key > probe));
        expect(version.map.get(probe)).toBe(entries.find(([key]) => key === probe)?.[1]);
      }
    }),
  );
});

test("ten thousand numbers in a row, as tickets are, of which every other goes", () => {
  const count = 10_000;
  let map = OrderedMap.of(Array.from({ length: count }, (_, i) => [i, i] as const));
  for (let i = 0; i < count; i += 2) map = map.delete(i);
  expect(map.size).toBe(count / 2);
  expect([...map].every(([key, value], i) => key === value && key === 2 * i + 1)).toBe(true);
});
