// Rules of the code of half floats; of half floats themselves, see half.test.ts.
import fc from "fast-check";
import { expect, test } from "vitest";
import { halfValue } from "../../../shared/base/half.ts";
import { encodeF16 } from "../../../shared/codecs/f16.ts";

test("what is too large for a half becomes ±65,504", () => {
  const values = Float32Array.of(65504, 65519, 65520, 1e30, 3e38, -65505, -3e38, ...new Float32Array(57));
  const held = Array.from(new Uint16Array(encodeF16(values, Uint32Array.of(0), [-14]).buffer), halfValue);
  expect(held.slice(0, 8)).toEqual([65504, 65504, 65504, 65504, 65504, -65504, -65504, 0]);
  // 3e38 of a tiny unit is beyond float32.
  expect(halfValue(new Uint16Array(encodeF16(values, Uint32Array.of(0), [-100]).buffer)[4]!)).toBe(65504);
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
        const error = Math.abs(halfValue(halves[i]!) * 2 ** 14 - held);
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
