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

test("two versions of one may be changed in turn", () => {
  const one = PersistentMap.of([
    ["a", 1],
    ["b", 2],
  ]);
  let [left, right] = [one.delete("a"), one.set("c", 3)];
  left = left.set("d", 4);
  right = right.set("a", 5);
  expect(sorted(left)).toEqual(sorted([["b", 2] as const, ["d", 4] as const]));
  expect(sorted(right)).toEqual(sorted([["a", 5] as const, ["b", 2] as const, ["c", 3] as const]));
  expect(sorted(one)).toEqual(sorted([["a", 1] as const, ["b", 2] as const]));
  expect(one.delete("neither")).toBe(one);
});

test("an entry is as likely as another", () => {
  const map = PersistentMap.of(Array.from({ length: 500 }, (_, i) => [`w${i}`, i] as const));
  const counts = new Map<number, number>();
  const draws = 100_000;
  for (let i = 0; i < draws; i++) {
    const [, value] = map.drawn(i / draws) ?? ["", -1];
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  expect([...counts.values()]).toEqual(Array.from({ length: 500 }, () => draws / 500));
  expect(PersistentMap.of().drawn(0.5)).toBeUndefined();
});

test("it iterates in the same order after the same history", () => {
  const build = () => PersistentMap.of(Array.from({ length: 500 }, (_, i) => [`w${i}`, i] as const));
  expect([...build()]).toEqual([...build()]);
});
