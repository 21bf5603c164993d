// Bytes become exactly what the host's table has for them, whatever the shape, and nothing behind them is touched.

import { expect, test } from "vitest";
import { lookUp } from "../../kernels/layers/look-up.ts";
import { rng } from "../../shared/base/rng.ts";
import { normaliseTable } from "../../shared/tasks/pixels.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";

const SHAPES = [
  [1, 1, 1, 1],
  [1, 1, 1, 3],
  [2, 1, 3, 1],
  [3, 5, 7, 3],
  [1, 3, 3, 3],
  [5, 28, 28, 1],
  [2, 33, 31, 3],
  [3, 2, 2, 5],
] as const;

test.each(SHAPES)("%d images of %dx%dx%d are those of the table, to the bit", async (n, h, w, c) => {
  const size = n * h * w * c;
  const draws = rng(9, "bytes", size);
  const drawn = () => Array.from({ length: c }, () => 0.1 + draws.uniform());
  const table = normaliseTable({ name: "drawn", shape: { h, w, c }, mean: drawn(), std: drawn() });
  const pixels = new Uint8Array(4 * Math.ceil(size / 4)).map(() => draws.below(256));
  pixels[0] = 0;
  pixels[size - 1] = 255;
  const y = new Float32Array(size + 4).fill(7);
  const bytes = new Uint32Array(pixels.buffer);
  const result = await runKernels(await testDevice(), lookUp({ size, channels: c }), { bytes, table, y });
  const wanted = y.map((kept, i) => (i < size ? table[pixels[i]! * c + (i % c)]! : kept));
  expect(new Uint32Array((result.y as Float32Array).slice().buffer)).toEqual(new Uint32Array(wanted.buffer));
});
