// Rules of powers of two: the same bits in every engine.
import { expect, test } from "vitest";
import { ceilingExponentOf, exponentOf, nearestExponent, powerOfTwo } from "../../../shared/base/powers-of-two.ts";

test("a power of two is exact, and an exponent that no double has is refused", () => {
  for (let e = -1022; e <= 1023; e++) expect(powerOfTwo(e)).toBe(2 ** e);
  for (const bad of [-1023, 1024, 0.5, NaN]) expect(() => powerOfTwo(bad)).toThrow(RangeError);
});

test("an exponent is rounded down, up, or to the nearer power by ratio", () => {
  for (const e of [-1000, -126, -1, 0, 1, 127, 1000]) {
    const next = 2 ** e * (1 + 2 ** -52);
    expect([exponentOf(2 ** e), ceilingExponentOf(2 ** e), nearestExponent(2 ** e)]).toEqual([e, e, e]);
    expect([exponentOf(next), ceilingExponentOf(next), nearestExponent(next)]).toEqual([e, e + 1, e]);
    expect(nearestExponent(1.41 * 2 ** e)).toBe(e);
    expect(nearestExponent(1.42 * 2 ** e)).toBe(e + 1);
  }
});
