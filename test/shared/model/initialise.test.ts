// Rules of first values.
import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { kaimingNormal, linearDefault, uniform } from "../../../shared/model/initialise.ts";

function moments(values: Float32Array): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}

test("kaimingNormal has mean 0 and standard deviation √(2 / fanIn)", () => {
  const values = kaimingNormal(rng("kaiming"), [64, 3, 3, 128], 128 * 9);
  expect(values.length).toBe(64 * 9 * 128);
  const { mean, deviation } = moments(values);
  const expected = Math.sqrt(2 / (128 * 9));
  expect(Math.abs(mean)).toBeLessThan(expected * 0.02);
  expect(Math.abs(deviation / expected - 1)).toBeLessThan(0.01);
});

test("uniform fills [−bound, bound) evenly", () => {
  const values = uniform(rng("uniform"), 50_000, 0.25);
  const { mean, deviation } = moments(values);
  expect(Math.min(...values.subarray(0, 10_000))).toBeGreaterThanOrEqual(-0.25);
  expect(Math.max(...values.subarray(0, 10_000))).toBeLessThan(0.25);
  expect(Math.abs(mean)).toBeLessThan(0.005);
  expect(Math.abs(deviation - 0.25 / Math.sqrt(3))).toBeLessThan(0.002);
});

test("linearDefault draws weight and bias from U(±1/√inputs)", () => {
  const { weight, bias } = linearDefault(rng("linear"), 10, 400);
  expect([weight.length, bias.length]).toEqual([4000, 10]);
  const bound = Math.fround(1 / 20);
  for (const value of [...weight, ...bias]) expect(Math.abs(value)).toBeLessThanOrEqual(bound);
  expect(Math.max(...weight)).toBeGreaterThan(bound * 0.99);
});

test("the same stream gives the same values", () => {
  expect(kaimingNormal(rng(1, "w"), [8, 3, 3, 4], 36)).toEqual(kaimingNormal(rng(1, "w"), [8, 3, 3, 4], 36));
});

test("no inputs is refused", () => {
  expect(() => kaimingNormal(rng(1), [1], 0)).toThrow(RangeError);
  expect(() => linearDefault(rng(1), 3, 0)).toThrow(RangeError);
});
