// Rules of binary16: nearest, ties to even, and back without loss.
import { expect, test } from "vitest";
import { halfBits, halfValue, halfValues, roundToHalf } from "../../../shared/base/half.ts";
import { rng } from "../../../shared/base/rng.ts";

test("all 65,536 halves have the value that the format gives them, and come back as they were", () => {
  for (let half = 0; half < 2 ** 16; half++) {
    const value = halfValue(half);
    const exponent = (half >> 10) & 31;
    const sign = half >> 15 ? -1 : 1;
    if (exponent === 31) {
      if (half & 0x3ff) expect(value).toBeNaN();
      else expect(value).toBe(sign * Infinity);
      continue;
    }
    // By the standard's own words: 2^(E−15)·1.F, or 2^-14·0.F where E is 0.
    const fraction = (half & 0x3ff) / 1024;
    const defined = sign * (exponent === 0 ? 2 ** -14 * fraction : 2 ** (exponent - 15) * (1 + fraction));
    if (!Object.is(value, defined) || halfBits(value) !== half) expect.fail(`${half.toString(16)}: ${value}`);
  }
});

test("halfway between any two neighbours is rounded to the even one, and the least beside it to the nearer", () => {
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  for (let half = 0; half < 0x7bff; half++) {
    float[0] = (halfValue(half) + halfValue(half + 1)) / 2;
    const middle = word[0]!;
    const at = (bits: number) => {
      word[0] = bits;
      return [halfBits(float[0]!), halfBits(-float[0]!) - 0x8000];
    };
    const even = half & 1 ? half + 1 : half;
    if (at(middle).some((h) => h !== even)) expect.fail(`${half} ties`);
    if (at(middle - 1).some((h) => h !== half)) expect.fail(`${half} below the tie`);
    if (at(middle + 1).some((h) => h !== half + 1)) expect.fail(`${half} above the tie`);
  }
});

test("every half comes back from its float32, NaN as NaN", () => {
  halfValues().forEach((value, bits) => {
    if (Number.isNaN(value)) expect(Number.isNaN(halfValues()[halfBits(value)])).toBe(true);
    else if (halfBits(value) !== bits)
      throw new Error(`half ${bits.toString(16)} (${value}) came back as ${halfBits(value)}`);
  });
});

test.each([
  [1, 0x3c00],
  [-2, 0xc000],
  [0, 0],
  [-0, 0x8000],
  [65504, 0x7bff],
  [2 ** -14, 0x0400],
  [2 ** -24, 0x0001],
  [Infinity, 0x7c00],
  [-Infinity, 0xfc00],
])("%d has the bits that IEEE 754 gives it", (value, bits) => {
  expect(halfBits(value)).toBe(bits);
});

test.each([
  ["between two halves, to the even one", 1 + 2 ** -11, 1],
  ["between two others, up to the even one", 1 + 3 * 2 ** -11, 1 + 2 ** -9],
  ["just above the middle", Math.fround(1 + 2 ** -11 + 2 ** -23), 1 + 2 ** -10],
  ["a subnormal in the middle, to even", 2.5 * 2 ** -24, 2 * 2 ** -24],
  ["below half of the smallest", 2 ** -26, 0],
  ["the largest subnormal rounds up into the normals", 1023.75 * 2 ** -24, 2 ** -14],
  ["beyond the largest, which it stays at", 1e6, 65504],
  ["beyond the lowest", -1e30, -65504],
  ["beyond the largest by less than half a step", 65519, 65504],
  ["beyond the largest by half a step", 65520, 65504],
])("rounding %s", (_, value, expected) => {
  const tensor = Float32Array.of(value);
  roundToHalf(tensor);
  expect(tensor[0]).toBe(Math.fround(expected));
});

test("what is no number stays none", () => {
  expect(halfValue(halfBits(NaN))).toBeNaN();
});

test("no half is nearer than the one chosen", () => {
  const draws = rng(1, "halves");
  const table = halfValues();
  for (let i = 0; i < 20_000; i++) {
    const value = Math.fround(draws.normal() * 2 ** (draws.below(30) - 22));
    const bits = halfBits(value);
    const error = Math.abs(table[bits] - value);
    // Neighbours in magnitude; of zero there is one.
    for (const other of (bits & 0x7fff) === 0 ? [bits + 1] : [bits - 1, bits + 1]) {
      expect(Math.abs(table[other] - value)).toBeGreaterThanOrEqual(error);
    }
  }
});
