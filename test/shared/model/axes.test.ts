// Rules of the order of axes.
import fc from "fast-check";
import { expect, test } from "vitest";
import { nchwToNhwc, nhwcToNchw, type Shape4, toOhwi, toOihw } from "../../../shared/model/axes.ts";

const axis = fc.integer({ min: 0, max: 5 });
const anyShape = fc.tuple(axis, axis, axis, axis);

/** 0, 1, 2, ...: an element's value says where it came from. */
function counting([a, b, c, d]: Shape4): Float32Array {
  return Float32Array.from({ length: a * b * c * d }, (_, i) => i);
}

test("element [o][i][h][w] moves to [o][h][w][i], and [n][c][h][w] to [n][h][w][c]", () => {
  fc.assert(
    fc.property(anyShape, (shape) => {
      const [outer, channels, height, width] = shape;
      const data = counting(shape);
      for (const result of [toOhwi(data, shape), nchwToNhwc(data, shape)]) {
        for (let o = 0; o < outer; o++)
          for (let c = 0; c < channels; c++)
            for (let h = 0; h < height; h++)
              for (let w = 0; w < width; w++) {
                const from = ((o * channels + c) * height + h) * width + w;
                const to = ((o * height + h) * width + w) * channels + c;
                expect(result[to]).toBe(data[from]);
              }
      }
    }),
    { numRuns: 30 },
  );
});

test("there and back gives the same array, in a new one", () => {
  fc.assert(
    fc.property(anyShape, (shape) => {
      const data = counting(shape);
      expect(toOihw(toOhwi(data, shape), shape)).toEqual(data);
      expect(nhwcToNchw(nchwToNhwc(data, shape), shape)).toEqual(data);
      expect(toOhwi(data, shape).buffer).not.toBe(data.buffer);
    }),
  );
});

test("a shape that does not fit the data is refused", () => {
  expect(() => toOhwi(new Float32Array(7), [1, 2, 2, 2])).toThrow(RangeError);
});
