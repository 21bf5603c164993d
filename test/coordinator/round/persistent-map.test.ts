// The persistent map against Map, for any history, and what a change leaves as it was.

import fc from "fast-check";
import { expect, test } from "vitest";
import { PersistentMap } from "../../../coordinator/round/persistent-map.ts";

const anyKey = fc.oneof(fc.nat(60), fc.integer(), fc.constantFrom("w1", "w2", "w3", "w1-1"), fc.string());
const anyChange = fc.record({ key: anyKey, value: fc.nat(), remove: fc.boolean() });
const sorted = <K, V>(entries: Iterable<readonly [K, V]>) =>
  [...entries].sort(([a], [b]) => `${typeof a}${String(a)}`.localeCompare(`${typeof b}${String(b)}`));

test("it holds what a Map holds, whatever is set and deleted, and each version stays as it was", () => {
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 200 }), (changes) => {
      const model = new Map<string | number, number>();
      let map = PersistentMap.of<string | number, number>();
      const versions: { readonly map: typeof map; readonly entries: ReturnType<typeof sorted> }[] = [];
      for (const { key, value, remove } of changes) {
        if (remove) model.delete(key);
        else model.set(key, value);
        map = remove ? map.delete(key) : map.set(key, value);
        versions.push({ map, entries: sorted(model) });
      }
      for (const version of versions) {
        expect(sorted(version.map)).toEqual(version.entries);
        expect(version.map.size).toBe(version.entries.length);
      }
      for (const [key, value] of model) expect(map.get(key)).toBe(value);
      const seen: [string | number, number][] = [];
      map.forEach((value, key) => {
        seen.push([key, value]);
      });
      expect(sorted(seen)).toEqual(sorted(model));
      expect(map.some((value) => value > 100)).toBe([...model.values()].some((value) => value > 100));
      const halved = map.map((value, key) => (typeof key === "number" ? value / 2 : value));
      expect(sorted(halved)).toEqual(
        sorted(model).map(([key, value]) => [key, typeof key === "number" ? value / 2 : value]),
      );
      expect(map.map((value) => value)).toBe(map);
    }),
  );
});

test("keys whose hashes collide are told apart", () => {
  // FNV-1a of 32 bits gives both the same.
  const [a, b] = ["costarring", "liquid"];
  const map = PersistentMap.of([
    [a, 1],
    [b, 2],
  ]);
  expect([map.get(a), map.get(b), map.size]).toEqual([1, 2, 2]);
  expect(sorted(map.delete(a))).toEqual([[b, 2]]);
  expect(map.delete("neither")).toBe(map);
});

test("some entry is as likely as another, but for the shape of the tree", () => {
  const map = PersistentMap.of(Array.from({ length: 500 }, (_, i) => [`w${i}`, i] as const));
  const counts = new Map<number, number>();
  const draws = 100_000;
  for (let i = 0; i < draws; i++) {
    const [, value] = map.drawn(i / draws) ?? ["", -1];
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  expect(counts.size).toBe(500);
  expect(Math.max(...counts.values())).toBeLessThan(4 * (draws / 500));
  expect(PersistentMap.of().drawn(0.5)).toBeUndefined();
});

test("it iterates in the same order after the same history", () => {
  const build = () => PersistentMap.of(Array.from({ length: 500 }, (_, i) => [`w${i}`, i] as const));
  expect([...build()]).toEqual([...build()]);
});
