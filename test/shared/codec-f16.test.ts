// Rules of half floats and of the code that they are.
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeF16, fromF16, toF16 } from "../../shared/codec-f16.ts";

test("all 65,536 halves have the value that the format gives them, and come back as they were", () => {
  for (let half = 0; half < 2 ** 16; half++) {
    const value = fromF16(half);
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
    if (!Object.is(value, defined) || toF16(value) !== half) expect.fail(`${half.toString(16)}: ${value}`);
  }
});

test("halfway between any two neighbours is rounded to the even one, and the least beside it to the nearer", () => {
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  for (let half = 0; half < 0x7bff; half++) {
    float[0] = (fromF16(half) + fromF16(half + 1)) / 2;
    const middle = word[0]!;
    const at = (bits: number) => {
      word[0] = bits;
      return [toF16(float[0]!), toF16(-float[0]!) - 0x8000];
    };
    const even = half & 1 ? half + 1 : half;
    if (at(middle).some((h) => h !== even)) expect.fail(`${half} ties`);
    if (at(middle - 1).some((h) => h !== half)) expect.fail(`${half} below the tie`);
    if (at(middle + 1).some((h) => h !== half + 1)) expect.fail(`${half} above the tie`);
  }
});

test("what is too large becomes ±65,504, what is no number stays none", () => {
  expect([65504, 65519, 65520, 1e30, Infinity].map((x) => fromF16(toF16(x)))).toEqual(Array(5).fill(65504));
  expect([-65505, -Infinity].map((x) => fromF16(toF16(x)))).toEqual([-65504, -65504]);
  expect(fromF16(toF16(NaN))).toBeNaN();
});

test("halves count in 2^14 units of their tensor, so the error is a 2^-11 of a value or a 2^-11 of a unit", () => {
  const unit = fc.integer({ min: -100, max: 80 });
  const inUnits = fc.array(fc.double({ noNaN: true, min: -(2 ** 30), max: 2 ** 30 }), { minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(unit, inUnits, (exponent, drawn) => {
      const values = Float32Array.from(drawn, (x) => x * 2 ** exponent);
      const halves = new Uint16Array(encodeF16(values, Uint32Array.of(0), [exponent]).buffer);
      values.forEach((x, i) => {
        const units = x / 2 ** exponent;
        const held = Math.min(65504 * 2 ** 14, Math.max(-65504 * 2 ** 14, units));
        const error = Math.abs(fromF16(halves[i]!) * 2 ** 14 - held);
        if (error > Math.max(2 ** -11, Math.abs(held) * 2 ** -11)) expect.fail(`${units} errs by ${error}`);
      });
    }),
  );
});

test("f16 takes whole blocks of finite values", () => {
  expect(() => encodeF16(new Float32Array(63), Uint32Array.of(0), [0])).toThrow(RangeError);
  expect(() => encodeF16(new Float32Array(64).fill(Infinity, 9), Uint32Array.of(0), [0])).toThrow(
    expect.objectContaining({ code: "GRADIENT_NOT_FINITE", message: expect.stringMatching(/element 9 .* Infinity/) }),
  );
});
