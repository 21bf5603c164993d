// The decoder's inner functions in vector instructions give the bits of its own, for damaged and hostile files as well.

import sharp from "sharp";
import { expect, test } from "vitest";
import { type Rng, rng } from "../../../shared/base/rng.ts";
import { createJpegDecoder, type JpegDecoder } from "../../../shared/image/jpeg.ts";
import { compileJpegCodec, startJpegCodec } from "../../../shared/image/jpeg-codec.ts";
import { fixturePicture, imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";

/** The pixels, or why there are none. */
function answer(decoder: JpegDecoder, jpeg: Uint8Array): Buffer {
  try {
    return Buffer.from(decoder.decode(jpeg).rgb);
  } catch (error) {
    return Buffer.from(String((error as Error).message));
  }
}

const both = () =>
  Promise.all([createJpegDecoder(jpegModule()), createJpegDecoder(jpegModule(), { plain: true })] as const);

async function noiseJpeg(draws: Rng, width: number, height: number, chromaSubsampling: string): Promise<Uint8Array> {
  // Flat, smooth and wild parts, so that blocks have few coefficients and many.
  const wild = draws.below(256);
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) =>
    i % (6 * width) < 3 * width ? (i * wild) >> 6 : draws.below(1 + wild),
  );
  const quality = 20 + draws.below(80);
  const raw = { width, height, channels: 3 } as const;
  return new Uint8Array(await sharp(rgb, { raw }).jpeg({ quality, chromaSubsampling }).toBuffer());
}

test("the kernels stand in for the decoder's own functions, unless they are not wanted", async () => {
  const module = await compileJpegCodec(jpegModule());
  expect(startJpegCodec(module).vectors).toBe(true);
  expect(startJpegCodec(module, { plain: true }).vectors).toBe(false);
});

test("I10 pictures of every width and height, and of both kinds of chroma, are the same", async () => {
  const [ours, plain] = await both();
  for (let i = 0; i < 160; i++) {
    const draws = rng("sizes", i);
    const [width, height] = [1 + (i < 80 ? i : draws.below(400)), 1 + draws.below(90)];
    const jpeg = await noiseJpeg(draws, width, height, i % 3 ? "4:2:0" : "4:4:4");
    expect(Buffer.compare(answer(ours, jpeg), answer(plain, jpeg)), `${width} × ${height}`).toBe(0);
    expect(ours.decode(jpeg).rgb).toHaveLength(3 * width * height);
  }
});

/** With 16-bit quantisation steps of any size: coefficients times these pass 32 bits. */
function withWildSteps(jpeg: Uint8Array, draws: Rng, most: number): Uint8Array {
  const out: number[] = [0xff, 0xd8];
  for (let at = 2; ; ) {
    const marker = jpeg[at + 1]!;
    const end = at + 2 + ((jpeg[at + 2]! << 8) | jpeg[at + 3]!);
    if (marker === 0xda) return Uint8Array.from([...out, ...jpeg.subarray(at)]);
    if (marker !== 0xdb) out.push(...jpeg.subarray(at, end));
    for (let table = at + 4; marker === 0xdb && table < end; table += 65) {
      out.push(0xff, 0xdb, 0, 131, 0x10 | jpeg[table]!);
      for (let i = 0; i < 64; i++) {
        const step = 1 + draws.below(most);
        out.push(step >> 8, step & 255);
      }
    }
    at = end;
  }
}

test("I10 numbers that overflow do so alike", async () => {
  const [ours, plain] = await both();
  let strange = 0;
  for (let i = 0; i < 120; i++) {
    const draws = rng("steps", i);
    const usual = await noiseJpeg(draws, 40 + draws.below(80), 40 + draws.below(40), i % 2 ? "4:2:0" : "4:4:4");
    const wild = withWildSteps(usual, draws, [300, 5000, 65_535][i % 3]!);
    const expected = answer(plain, wild);
    expect(Buffer.compare(answer(ours, wild), expected), `${i}`).toBe(0);
    if (expected.length > 1000 && Buffer.compare(expected, answer(plain, usual)) !== 0) strange++;
  }
  expect(strange).toBeGreaterThan(100);
});

test("I10 files with bytes that were changed are refused alike, or the same", async () => {
  const [ours, plain] = await both();
  const { kaggle } = imagenetFixtures().expected.layouts;
  let decoded = 0;
  for (const [i, name] of Object.keys(kaggle!.train).entries()) {
    for (let change = 0; change < 12; change++) {
      const draws = rng("changed", i, change);
      const jpeg = fixturePicture(name);
      for (let n = 0; n <= change % 3; n++) jpeg[20 + draws.below(jpeg.length - 22)] = draws.below(256);
      const expected = answer(plain, jpeg);
      expect(Buffer.compare(answer(ours, jpeg), expected), `${name} ${change}`).toBe(0);
      if (expected.length > 1000) decoded++;
    }
  }
  expect(decoded).toBeGreaterThan(10);
});
