// Rules of verdicts: each odd file of the fixtures gets its own, and the pixels that Pillow sees in it.

import { readFileSync } from "node:fs";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import {
  type Alone,
  HUGE_PIXELS,
  ImageConverter,
  MOST_OTHER_PIXELS,
  shortened,
} from "../../../../coordinator/import/convert/convert-image.ts";
import { ConvertPool } from "../../../../coordinator/import/convert/convert-pool.ts";
import type { ImageTarget, Outcome } from "../../../../coordinator/import/convert/outcome.ts";
import { vipsDecodeCmyk } from "../../../../coordinator/import/convert/vips.ts";
import { sha256Hex } from "../../../../shared/base/hash.ts";
import { createJpegDecoder } from "../../../../shared/image/jpeg.ts";
import { inspectJpeg } from "../../../../shared/image/jpeg-header.ts";
import { resizeCrop } from "../../../../shared/image/resize.ts";
import { fixturePicture, imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { jpegModule } from "../../../fixtures/jpeg-module.ts";

const alone: Alone = (work) => work();
const decoder = await createJpegDecoder(jpegModule());
const converter = new ImageConverter(decoder, alone);
const train: ImageTarget = { short: 256, quality: 90, subsampling: "4:2:0" };
const held: ImageTarget = { short: 256, quality: 96, subsampling: "4:4:4" };
const { expected } = imagenetFixtures();

function contentOf(outcome: Outcome): Uint8Array {
  if (outcome.verdict === "reject") throw new Error(`rejected: ${outcome.why}`);
  return outcome.content;
}

/** Root of the mean square difference, of 255. */
function difference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
}

describe.each(Object.entries(expected.bad))("I22 %s", (name, { verdict, why, width = 0, height = 0, rgb_sha256 }) => {
  test(`is for ${verdict}: ${why}`, async () => {
    const outcome = await converter.convert(fixturePicture(name), train);
    expect({ ...outcome, content: undefined }).toMatchObject({ verdict });
    if (outcome.verdict !== "use") expect(outcome.why).toMatch(/\S/);
    if (outcome.verdict === "reject") return;
    const { components, process, complete, trailingBytes, metadataBytes, adobeTransform } = inspectJpeg(
      outcome.content,
    );
    expect({ complete, trailingBytes, metadataBytes }).toEqual({ complete: true, trailingBytes: 0, metadataBytes: 0 });
    expect([1, 3]).toContain(components);
    expect(["baseline", "progressive"]).toContain(process);
    expect(adobeTransform ?? 1).toBe(1);
    const stored = decoder.decode(outcome.content);
    expect({ width: stored.width, height: stored.height }).toEqual(shortened(width, height, 256));
    // What is stored as its own bytes is what Pillow sees; what is encoded anew, nearly.
    if (verdict === "use" && Math.min(width, height) <= 256) expect(sha256Hex(stored.rgb)).toBe(rgb_sha256);
  });
});

const near = [
  "n02105855_2933",
  "n01440764_9001",
  "n03000684_9009",
  "n04067472_9017",
  "n07583066_9018",
  "n07583066_9019",
];

test.each(near)("I22 %s is converted from the pixels that Pillow sees", async (stem) => {
  const bytes = fixturePicture(`${stem}.JPEG`);
  const outcome = await converter.convert(bytes, { short: 256, quality: 100, subsampling: "4:4:4" });
  expect(outcome.verdict).toBe("convert");
  const { rgb } = decoder.decode(contentOf(outcome));
  const shown = stem.endsWith("9017") ? Buffer.concat([bytes, Uint8Array.of(0xff, 0xd9)]) : Buffer.from(bytes);
  const seen = stem.endsWith("9001")
    ? (await vipsDecodeCmyk(bytes)).rgb
    : await sharp(shown, { ignoreIcc: true }).removeAlpha().toColourspace("srgb").raw().toBuffer();
  expect(sha256Hex(new Uint8Array(seen))).toBe(expected.bad[`${stem}.JPEG`].rgb_sha256);
  expect(difference(rgb, new Uint8Array(seen))).toBeLessThan(2);
});

test("I23 a larger image is made smaller by the workers' own resize, its shorter side to the pixel", async () => {
  const bytes = fixturePicture("n07583066_9021.JPEG");
  const { width, height, rgb } = decoder.decode(bytes);
  for (const [target, most] of [
    [train, 14],
    [held, 3],
  ] as const) {
    const stored = decoder.decode(contentOf(await converter.convert(bytes, target)));
    expect([stored.width, stored.height]).toEqual([341, 256]);
    const exact = resizeCrop({ width, height, rgb }, { x: 0, y: 0, w: width, h: height }, { width: 341, height: 256 });
    expect(difference(stored.rgb, exact)).toBeLessThan(most);
  }
});

test("I23 held-out images are stored without subsampled colour", async () => {
  const facts = async (target: ImageTarget) =>
    inspectJpeg(contentOf(await converter.convert(fixturePicture("n07583066_9021.JPEG"), target))).sampling;
  expect(await facts(train)).toEqual([
    [2, 2],
    [1, 1],
    [1, 1],
  ]);
  expect(await facts(held)).toEqual([
    [1, 1],
    [1, 1],
    [1, 1],
  ]);
});

test("I23 nothing is enlarged, and the other side is cut as torchvision cuts it", () => {
  expect(shortened(1400, 1050, 256)).toEqual({ width: 341, height: 256 });
  expect(shortened(500, 375, 256)).toEqual({ width: 341, height: 256 });
  expect(shortened(375, 500, 256)).toEqual({ width: 256, height: 341 });
  expect(shortened(200, 150, 256)).toEqual({ width: 200, height: 150 });
  expect(shortened(5000, 256, 256)).toEqual({ width: 5000, height: 256 });
});

async function drawn(
  format: "png" | "webp" | "gif" | "tiff" | "jpeg",
  width = 60,
  height = 40,
  more = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const pixels = Uint8Array.from(
    { length: 3 * width * height },
    (_, i) => (i * 7 + Math.floor(i / (3 * width)) * 5) & 255,
  );
  const image = sharp(pixels, { raw: { width, height, channels: 3 } });
  return Uint8Array.from(await image.toFormat(format, { quality: 95, ...more }).toBuffer());
}

test.each(["png", "webp", "gif", "tiff"] as const)("I22 a %s is converted, whatever its name says", async (format) => {
  const outcome = await converter.convert(await drawn(format), train);
  expect(outcome).toMatchObject({ verdict: "convert", why: expect.stringMatching(new RegExp(`it is ${format}`, "i")) });
  expect(decoder.decode(contentOf(outcome))).toMatchObject({ width: 60, height: 40 });
});

test("I22 transparency is dropped, as Pillow's convert drops it", async () => {
  const pixels = Uint8Array.from({ length: 4 * 64 }, (_, i) => (i % 4 === 3 ? 0 : 200));
  const png = await sharp(pixels, { raw: { width: 8, height: 8, channels: 4 } })
    .png()
    .toBuffer();
  const { rgb } = decoder.decode(contentOf(await converter.convert(Uint8Array.from(png), held)));
  expect(Math.abs(rgb[0] - 200)).toBeLessThan(3);
});

function bmp(bits: 8 | 24 | 32, upwards: boolean): Uint8Array {
  const [width, height] = [5, 3];
  const line = Math.ceil((width * bits) / 32) * 4;
  const palette = bits === 8 ? 256 * 4 : 0;
  const bytes = new Uint8Array(54 + palette + line * height);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(10, 54 + palette, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, upwards ? height : -height, true);
  view.setUint16(28, bits, true);
  for (let i = 0; i < palette / 4; i++) bytes.set([i, i, i, 0], 54 + 4 * i);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 54 + palette + line * (upwards ? height - 1 - y : y) + (x * bits) / 8;
      const grey = 40 * y + 10 * x;
      bytes.set(bits === 8 ? [grey] : [grey, grey, grey], at);
    }
  }
  return bytes;
}

test.each([
  [8, true],
  [24, true],
  [24, false],
  [32, true],
] as const)("I22 a BMP of %i bits, upwards %s, is converted", async (bits, upwards) => {
  const outcome = await converter.convert(bmp(bits, upwards), { short: 256, quality: 100, subsampling: "4:4:4" });
  expect(outcome).toMatchObject({ verdict: "convert", why: "it is BMP" });
  const { width, height, rgb } = decoder.decode(contentOf(outcome));
  expect([width, height]).toEqual([5, 3]);
  expect(Math.abs(rgb[3 * (2 * 5 + 4)] - 120)).toBeLessThan(4);
});

test.each<[string, Uint8Array, RegExp]>([
  ["no bytes", new Uint8Array(0), /no bytes/],
  ["zeros", new Uint8Array(1000), /full of zeros/],
  ["a web page", new TextEncoder().encode("<!DOCTYPE html><html>"), /a web page \(HTML\), no picture/],
  ["a pointer of Git LFS", new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n"), /Git LFS pointer/],
  ["a zip", new TextEncoder().encode("PK\x03\x04 and more than thirty bytes of it"), /zip/],
  [
    "a PNG that is cut off",
    readFileSync(new URL("../../../../worker/web/page.png", import.meta.url)).subarray(0, 900),
    /./,
  ],
  ["a BMP that is cut off", bmp(24, true).subarray(0, 60), /ends after 60 of/],
  ["a JPEG of its first bytes", Uint8Array.of(0xff, 0xd8, 0xff), /no frame header/],
])("I22 %s is rejected with the reason", async (_, bytes, why) => {
  expect(await converter.convert(bytes, train)).toMatchObject({ verdict: "reject", why: expect.stringMatching(why) });
});

test("I22 what says that it is too large is refused by its header", async () => {
  const png = Buffer.from(await drawn("png"));
  png.writeUInt32BE(20_000, 16);
  png.writeUInt32BE(20_000, 20);
  const outcome = await converter.convert(png, train);
  expect(outcome).toMatchObject({ verdict: "reject" });
  const large = bmp(24, true);
  new DataView(large.buffer).setInt32(18, MOST_OTHER_PIXELS, true);
  expect(await converter.convert(large, train)).toMatchObject({
    verdict: "reject",
    why: expect.stringContaining("at most"),
  });
});

test("I22 a JPEG whose data are damaged is rejected, one with stray bytes is converted", async () => {
  const bytes = await drawn("jpeg", 200, 150);
  const cut = Uint8Array.from([...bytes.subarray(0, bytes.length >> 1), 0xff, 0xd9]);
  expect(await converter.convert(cut, train)).toMatchObject({ verdict: "reject" });
  const stray = Uint8Array.from([...bytes.subarray(0, -2), 1, 2, 3, 0xff, 0xd9]);
  expect(await converter.convert(stray, train)).toMatchObject({ verdict: "convert", why: "its data have stray bytes" });
  expect((await converter.convert(bytes.slice(), train)).verdict).toBe("use");
});

test("I23 a huge image is made smaller while it is read, to the same size", async () => {
  const [width, height] = [5200, 3300];
  expect(width * height).toBeGreaterThan(HUGE_PIXELS);
  const bytes = await drawn("jpeg", width, height);
  const outcome = await converter.convert(bytes, train);
  expect(outcome.verdict).toBe("use");
  expect(decoder.decode(contentOf(outcome))).toMatchObject(shortened(width, height, 256));
});

test("I24 threads answer with the bytes that one converter makes, whichever has the image", async () => {
  const names = Object.keys(expected.bad);
  const alike = async (threads: number) => {
    const pool = await ConvertPool.start(threads);
    try {
      return await Promise.all(names.map((name) => pool.convert(Uint8Array.from(fixturePicture(name)), train)));
    } finally {
      await pool.close();
    }
  };
  const direct = await Promise.all(names.map((name) => converter.convert(fixturePicture(name), train)));
  const one = await alike(1);
  expect(one.map(({ verdict }) => verdict)).toEqual(direct.map(({ verdict }) => verdict));
  expect(await alike(3)).toEqual(one);
  expect(one).toEqual(direct);
});
