// Rules of the int8 code of a block.
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeInt8 } from "../../../shared/codecs/int8.ts";

const anyFinite = fc.float({ noNaN: true, noDefaultInfinity: true });

test("int8 errs by at most half of its block's step, and the step is the smallest that holds the peak", () => {
  fc.assert(
    fc.property(fc.array(anyFinite, { minLength: 64, maxLength: 64 }), (numbers) => {
      const values = Float32Array.from(numbers);
      const peak = values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      const payload = new Int8Array(encodeInt8(values).buffer);
      const scale = payload[0]!;
      if (peak === 0) {
        expect(payload).toEqual(new Int8Array(65).fill(-128, 0, 1));
        return;
      }
      expect(peak).toBeLessThanOrEqual(127 * 2 ** scale);
      if (scale > -127) expect(peak).toBeGreaterThan(127 * 2 ** (scale - 1));
      values.forEach((x, i) => {
        const q = payload[1 + i]!;
        if (q === -128 || Math.abs(q * 2 ** scale - x) > 2 ** (scale - 1)) expect.fail(`${x} as ${q}·2^${scale}`);
      });
    }),
    { numRuns: 300 },
  );
});

test("int8 rounds ties to even", () => {
  const values = new Float32Array(64);
  values.set([127, 0.5, 1.5, 2.5, -0.5, -1.5]);
  expect([...new Int8Array(encodeInt8(values).buffer, 0, 8)]).toEqual([0, 127, 0, 2, 2, 0, -2, 0]);
});

test("int8 holds the largest and the smallest float32", () => {
  const largest = 2 ** 128 - 2 ** 104;
  const values = new Float32Array(128);
  values[0] = -largest;
  values[64] = 2 ** -149;
  const payload = new Int8Array(encodeInt8(values).buffer);
  expect([...payload.subarray(0, 3)]).toEqual([122, -127, -64]);
  expect(payload[2 + 64]).toBe(0);
});

test("int8 takes whole blocks of finite values", () => {
  expect(encodeInt8(new Float32Array(192)).length).toBe(195);
  expect(() => encodeInt8(new Float32Array(63))).toThrow(RangeError);
  expect(() => encodeInt8(new Float32Array(64).fill(NaN, 5))).toThrow(
    expect.objectContaining({ code: "GRADIENT_NOT_FINITE", message: expect.stringMatching(/element 5 .* NaN/) }),
  );
});
