// Rules of one bit a weight.
import fc from "fast-check";
import { expect, test } from "vitest";
import { packSignPlanes, unpackSignPlanes } from "../../../shared/model/sign-planes.ts";
import { signWords } from "../../../shared/model/window.ts";

test("bit i % 32 of word ⌊i / 32⌋ is 1 where the weight is under 0", () => {
  const weights = new Float32Array(2 * 33).fill(1);
  weights[0] = -1;
  weights[31] = -0.5;
  weights[32] = -1e-45;
  weights[33 + 1] = -3;
  expect(packSignPlanes(weights, 2, 33)).toEqual(Uint32Array.of(0x80000001, 1, 2, 0));
});

test("0, −0 and NaN count as +1, −∞ as −1", () => {
  expect(packSignPlanes(Float32Array.of(0, -0, NaN, -Infinity), 1, 4)).toEqual(Uint32Array.of(0b1000));
});

test("unpacking gives the signs back, and packing those the same bits with zero tails", () => {
  const shapes = fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 100 }));
  const cases = shapes.chain(([rows, channels]) =>
    fc.record({
      rows: fc.constant(rows),
      channels: fc.constant(channels),
      weights: fc.float32Array({ minLength: rows * channels, maxLength: rows * channels }),
    }),
  );
  fc.assert(
    fc.property(cases, ({ rows, channels, weights }) => {
      const bits = packSignPlanes(weights, rows, channels);
      expect(bits.length).toBe(rows * signWords(channels));
      const signs = unpackSignPlanes(bits, rows, channels);
      signs.forEach((sign, i) => {
        expect(sign).toBe(weights[i]! < 0 ? -1 : 1);
      });
      expect(packSignPlanes(signs, rows, channels)).toEqual(bits);
      if (channels % 32 !== 0) {
        for (let row = 1; row <= rows; row++) {
          expect(bits[row * signWords(channels) - 1]! >>> (channels % 32)).toBe(0);
        }
      }
    }),
  );
});

test("arrays that do not fit the shape are refused", () => {
  expect(() => packSignPlanes(new Float32Array(5), 2, 3)).toThrow(RangeError);
  expect(() => unpackSignPlanes(new Uint32Array(3), 2, 3)).toThrow(RangeError);
});
