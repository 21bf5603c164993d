// Rules of random draws.
import fc from "fast-check";
import { expect, test } from "vitest";
import { philox, type Rng, rng } from "../../../shared/base/rng.ts";

function draws(stream: Rng, count: number): number[] {
  return Array.from({ length: count }, () => stream.uint32());
}

function block(word: number): string {
  const into = new Uint32Array(4);
  philox(into, [word, word, word, word], word, word);
  return Array.from(into, (x) => x.toString(16).padStart(8, "0")).join(" ");
}

test("philox gives Random123's known answers for Philox4x32-10", () => {
  expect(block(0)).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  expect(block(0xffffffff)).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
  const pi = new Uint32Array(4);
  philox(pi, [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0xa4093822, 0x299f31d0);
  expect(Array.from(pi, (x) => x.toString(16))).toEqual(["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]);
});

test("a stream's draws never change from one release to the next", () => {
  expect(draws(rng(1, "data", 2), 3)).toEqual([2490302933, 3326781664, 2477968291]);
});

test("the same address gives the same stream", () => {
  expect(draws(rng(7, "augment", 3, 12), 20)).toEqual(draws(rng(7, "augment", 3, 12), 20));
});

test("addresses that differ in any element, its type or the split between elements give different streams", () => {
  const streams = [
    rng(1, "a"),
    rng(1, "b"),
    rng(2, "a"),
    rng("1", "a"),
    rng(1, "a", 0),
    rng(1, "a", ""),
    rng(1, "a", "0"),
  ];
  streams.push(rng("ab", "c"), rng("a", "bc"), rng("abc"), rng(1.5), rng(1));
  const firsts = streams.map((stream) => draws(stream, 2).join());
  expect(new Set(firsts).size).toBe(firsts.length);
  expect(draws(rng(0), 4)).toEqual(draws(rng(-0), 4));
});

test("at(index) is the draw after `index` others, in any order, and does not disturb the stream", () => {
  const all = draws(rng("at"), 64);
  fc.assert(
    fc.property(fc.array(fc.nat(63)), fc.nat(40), (indices, skip) => {
      const stream = rng("at");
      draws(stream, skip);
      expect(indices.map((index) => stream.at(index))).toEqual(indices.map((index) => all[index]));
      expect(stream.uint32()).toBe(all[skip]);
    }),
  );
});

test("at reaches far draws and refuses what is not an index", () => {
  const stream = rng("far");
  expect(stream.at(2 ** 40)).not.toBe(stream.at(0));
  expect(stream.at(2 ** 40)).toBe(rng("far").at(2 ** 40));
  for (const index of [-1, 0.5, NaN, 2 ** 53]) expect(() => stream.at(index)).toThrow(RangeError);
});

test("a path element that is not finite is refused", () => {
  expect(() => rng(1, NaN)).toThrow(RangeError);
  expect(() => rng(Infinity)).toThrow(RangeError);
});

test("uniform is in [0, 1), exact in float32, and has the moments of U[0, 1)", () => {
  const stream = rng("uniform");
  const count = 100_000;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < count; i++) {
    const value = stream.uniform();
    if (value < 0 || value >= 1 || Math.fround(value) !== value) expect.fail(`${value}`);
    sum += value;
    squares += value * value;
  }
  expect(Math.abs(sum / count - 1 / 2)).toBeLessThan(0.005);
  expect(Math.abs(squares / count - 1 / 3)).toBeLessThan(0.005);
});

test("normal is finite, a float32, and has the moments of N(0, 1)", () => {
  const stream = rng("normal");
  const count = 200_000;
  const moments = [0, 0, 0, 0];
  let neighbours = 0;
  let before = 0;
  for (let i = 0; i < count; i++) {
    const value = stream.normal();
    if (Math.fround(value) !== value || !Number.isFinite(value)) expect.fail(`${value}`);
    for (let power = 0; power < 4; power++) moments[power]! += value ** (power + 1) / count;
    neighbours += (value * before) / count;
    before = value;
  }
  expect(Math.abs(moments[0]!)).toBeLessThan(0.01);
  expect(Math.abs(moments[1]! - 1)).toBeLessThan(0.02);
  expect(Math.abs(moments[2]!)).toBeLessThan(0.05);
  expect(Math.abs(moments[3]! - 3)).toBeLessThan(0.15);
  expect(Math.abs(neighbours)).toBeLessThan(0.01);
});

test("below(n) reaches every integer under n about equally often", () => {
  const stream = rng("below");
  const counts = new Array<number>(7).fill(0);
  for (let i = 0; i < 70_000; i++) counts[stream.below(7)]!++;
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test("below(n) has no bias even where n is close to 2^32", () => {
  // Without rejection the lower third would be drawn twice as often as the rest.
  const stream = rng("bias");
  const n = 3 * 2 ** 30;
  let low = 0;
  for (let i = 0; i < 30_000; i++) if (stream.below(n) < 2 ** 30) low++;
  expect(Math.abs(low - 10_000)).toBeLessThan(500);
});

test("below(n) stays under n for every n, and refuses an n without integers under it", () => {
  const stream = rng("range");
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 32 }), (n) => {
      const value = stream.below(n);
      expect(Number.isInteger(value) && value >= 0 && value < n).toBe(true);
    }),
  );
  expect(stream.below(1)).toBe(0);
  for (const n of [0, -1, 1.5, NaN, 2 ** 32 + 1]) expect(() => stream.below(n)).toThrow(RangeError);
});
