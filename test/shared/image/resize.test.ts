// Crops are resized to the bytes of Pillow, whatever their shape.
import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { evaluationGeometry } from "../../../shared/image/crops.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { mirror, type RgbImage, resizeCrop } from "../../../shared/image/resize.ts";
import { seeView } from "../../../shared/image/see-view.ts";
import { drawView } from "../../../shared/image/view.ts";
import { fixturePicture, fixtureTensor, imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";

const noise = (width: number, height: number, seed = 1): RgbImage => {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  return { width, height, rgb: Uint8Array.from({ length: 3 * width * height }, next) };
};
const whole = ({ width, height }: RgbImage) => ({ x: 0, y: 0, w: width, h: height });

/** The definition, in float64 and pixel by pixel: each pass is rounded to bytes. */
function slowly(image: RgbImage, outWidth: number, outHeight: number): Float64Array {
  const pass = (inputs: number, outputs: number, o: number, value: (i: number) => number) => {
    const support = Math.max(1, inputs / outputs);
    const centre = ((o + 0.5) * inputs) / outputs - 0.5;
    let sum = 0;
    let weights = 0;
    for (let i = Math.max(0, Math.floor(centre - support)); i <= Math.min(inputs - 1, centre + support); i++) {
      const weight = Math.max(0, 1 - Math.abs(i - centre) / support);
      sum += weight * value(i);
      weights += weight;
    }
    return sum / weights;
  };
  const { width, height, rgb } = image;
  const rows = new Float64Array(outWidth * height * 3);
  for (let at = 0; at < rows.length; at++) {
    const [y, x, c] = [Math.floor(at / 3 / outWidth), Math.floor(at / 3) % outWidth, at % 3];
    rows[at] = pass(width, outWidth, x, (i) => rgb[(y * width + i) * 3 + c]!);
  }
  return Float64Array.from({ length: outWidth * outHeight * 3 }, (_, at) => {
    const [y, x, c] = [Math.floor(at / 3 / outWidth), Math.floor(at / 3) % outWidth, at % 3];
    return pass(height, outHeight, y, (i) => rows[(i * outWidth + x) * 3 + c]!);
  });
}

test("I3 the tensors of the fixtures are Pillow's to the byte", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  const { tensors } = imagenetFixtures().expected;
  expect(tensors.filter(({ kind }) => kind === "eval-256-224")).toHaveLength(4);
  for (const { file, kind, source, box, flip } of tensors) {
    const image = decoder.decode(fixturePicture(source));
    const { size, window } =
      kind === "eval-256-224"
        ? evaluationGeometry(image.width, image.height, 256, 224)
        : { size: { width: 224, height: 224 }, window: undefined };
    const [x, y, w, h] = box ?? [0, 0, image.width, image.height];
    const seen = resizeCrop(image, { x, y, w, h }, size, window);
    if (flip) mirror(seen, 224);
    expect(Buffer.compare(seen, fixtureTensor(file)), file).toBe(0);
  }
});

test.each([
  [7, 5, 3, 4],
  [50, 40, 7, 9],
  [3, 4, 30, 20],
  [1, 50, 8, 8],
  [50, 1, 8, 8],
  [1, 1, 5, 5],
  [64, 3, 1, 1],
])("%i × %i pixels to %i × %i are antialiased bilinear, but for the rounding of two passes", (w, h, W, H) => {
  const image = noise(w, h, w * h);
  const exact = slowly(image, W, H);
  resizeCrop(image, whole(image), { width: W, height: H }).forEach((value, i) => {
    expect(Math.abs(value - exact[i]!)).toBeLessThanOrEqual(1.01);
  });
});

test("I3 what is seen of a picture where it was decoded is what is decoded, then seen", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  const { bad, layouts } = imagenetFixtures().expected;
  const names = [
    ...Object.keys(layouts.kaggle!.train),
    ...Object.keys(bad).filter((name) => /_9(002|005|013|014|021)/.test(name)),
  ];
  for (const [i, name] of names.entries()) {
    const jpeg = fixturePicture(name);
    const image = decoder.decode(jpeg);
    for (let draw = 0; draw < 12; draw++) {
      const augment = (["random-resized-crop", "crop-flip", "none"] as const)[draw % 3]!;
      const size = [224, 64, 33, 1][draw % 4]!;
      const options = { size, resize: size + (draw % 5), augment, area: [0.01, 1] } as const;
      const view = drawView(options, image.width, image.height, rng("see", i, draw));
      const expected = new Uint8Array(3 * size * size);
      seeView(image, view, expected);
      const seen = new Uint8Array(expected.length);
      decoder.see(jpeg, () => view, seen);
      expect(Buffer.compare(seen, expected), `${name} ${JSON.stringify(view)}`).toBe(0);
    }
  }
});

test("a picture of the size that is wanted is itself", () => {
  const image = noise(31, 17);
  expect(resizeCrop(image, whole(image), image)).toEqual(image.rgb);
});

test("I3 a box is cropped first: what lies beside it counts for nothing", () => {
  const image = noise(60, 50);
  const box = { x: 13, y: 7, w: 21, h: 33 };
  const cropped = { width: box.w, height: box.h, rgb: new Uint8Array(3 * box.w * box.h) };
  for (let y = 0; y < box.h; y++)
    cropped.rgb.set(image.rgb.subarray(3 * ((y + box.y) * 60 + box.x)).subarray(0, 3 * box.w), 3 * y * box.w);
  const size = { width: 12, height: 40 };
  expect(resizeCrop(image, box, size)).toEqual(resizeCrop(cropped, whole(cropped), size));
});

test("a window is that part of the whole result", () => {
  const image = noise(90, 70);
  const size = { width: 40, height: 33 };
  const all = resizeCrop(image, whole(image), size);
  const window = { x: 11, y: 6, w: 20, h: 25 };
  const part = resizeCrop(image, whole(image), size, window);
  for (let y = 0; y < window.h; y++) {
    const from = 3 * ((y + window.y) * size.width + window.x);
    expect(part.subarray(3 * y * window.w, 3 * (y + 1) * window.w)).toEqual(all.subarray(from, from + 3 * window.w));
  }
});

test("a row of 65,500 pixels is seen without 16 million columns of it being made", () => {
  const image = noise(65_500, 1);
  const { size, window } = evaluationGeometry(image.width, image.height, 256, 224);
  expect(size).toEqual({ width: 16_768_000, height: 256 });
  const begin = process.cpuUsage();
  const seen = resizeCrop(image, whole(image), size, window);
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(2000);
  expect(seen).toHaveLength(224 * 224 * 3);
  // Every row is the one row there is; its middle is blown up 256 times.
  expect(seen.subarray(0, 672)).toEqual(seen.subarray(223 * 672));
  const middle = image.rgb.subarray(3 * 32_749, 3 * 32_751);
  expect(seen[111 * 3]).toBeGreaterThanOrEqual(Math.min(middle[0]!, middle[3]!));
  expect(seen[111 * 3]).toBeLessThanOrEqual(Math.max(middle[0]!, middle[3]!));
  // All of it in one column.
  expect(resizeCrop(image, whole(image), { width: 1, height: 1 })).toHaveLength(3);
});

test("white stays white, however many weights are rounded", () => {
  for (const width of [65_500, 4_001, 333]) {
    const image = { width, height: 1, rgb: new Uint8Array(3 * width).fill(255) };
    for (const value of resizeCrop(image, whole(image), { width: 3, height: 2 })) expect(value).toBe(255);
  }
});

test("mirrored twice a picture is itself, and its first pixel was its last", () => {
  for (const width of [5, 6]) {
    const image = noise(width, 3);
    const flipped = image.rgb.slice();
    mirror(flipped, width);
    expect(flipped.subarray(0, 3)).toEqual(image.rgb.subarray(3 * width - 3, 3 * width));
    mirror(flipped, width);
    expect(flipped).toEqual(image.rgb);
  }
});

test("a box outside the picture, or a window outside the result, is refused", () => {
  const image = noise(10, 10);
  const size = { width: 4, height: 4 };
  for (const box of [
    { x: 0, y: 0, w: 11, h: 1 },
    { x: -1, y: 0, w: 5, h: 5 },
    { x: 0, y: 0, w: 0, h: 5 },
    { x: 0.5, y: 0, w: 5, h: 5 },
  ])
    expect(() => resizeCrop(image, box, size)).toThrow(RangeError);
  expect(() => resizeCrop(image, whole(image), size, { x: 1, y: 0, w: 4, h: 4 })).toThrow(RangeError);
  expect(() => resizeCrop(image, whole(image), size, undefined, new Uint8Array(47))).toThrow(RangeError);
});
