// The decoder gives Pillow's bytes for every kind of JPEG, and outlives files that are damaged.
import { createHash } from "node:crypto";
import sharp from "sharp";
import { expect, test } from "vitest";
import { createJpegDecoder, JPEG_DECODER_SHA256, type JpegDecoder } from "../../../shared/image/jpeg.ts";
import { MAX_JPEG_PIXELS } from "../../../shared/image/jpeg-header.ts";
import { fixturePicture, imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";

const { bad } = imagenetFixtures().expected;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const odd = (number: number) => Object.keys(bad).find((name) => name.endsWith(`_${number}.JPEG`))!;

/** Those that the decoder takes: 9 and 18 are for the importer to convert, but bit-equal nevertheless. */
const decoded = [9002, 9003, 9004, 9005, 9008, 9009, 9010, 9011, 9013, 9014, 9016, 9018, 9021];
/** PNG, CMYK, truncated, nothing, 12 bits, bomb, no end, GIF, a page. */
const refused = [2933, 9001, 9006, 9007, 9012, 9015, 9017, 9019, 9020];

function expectRgb(decoder: JpegDecoder, number: number): void {
  const name = odd(number);
  const { width, height, rgb } = decoder.decode(fixturePicture(name));
  expect({ width, height, rgb: sha256(rgb) }, bad[name]!.why).toEqual({
    width: bad[name]!.width,
    height: bad[name]!.height,
    rgb: bad[name]!.rgb_sha256,
  });
}

test("the module that is installed is the one that runs name", () => {
  expect(sha256(jpegModule())).toBe(JPEG_DECODER_SHA256);
});

test("each kind of JPEG is decoded to the bytes of Pillow", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  for (const number of decoded) expectRgb(decoder, number);
});

test("I2 what is no whole JPEG of 8 bits and 1 or 3 components is refused, and the next is decoded as ever", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  for (const number of refused) {
    expect(() => decoder.decode(fixturePicture(odd(number))), `${number}`).toThrow(
      expect.objectContaining({ code: "DATA_INVALID" }),
    );
    expectRgb(decoder, 9021);
  }
});

test("I2 a picture of more pixels than the limit is refused by its header, before memory is taken", async () => {
  const bomb = fixturePicture(odd(9015));
  const decoder = await createJpegDecoder(jpegModule());
  expect(() => decoder.decode(bomb)).toThrow(`65500 × 65500 pixels; at most ${MAX_JPEG_PIXELS} are decoded`);
  const small = await createJpegDecoder(jpegModule(), { maxPixels: 180 * 135 });
  expectRgb(small, 9002);
  expect(() => small.decode(fixturePicture(odd(9021)))).toThrow("at most 24300");
});

test("I2 cut at any byte, a picture is refused", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  for (const number of [9002, 9005, 9013]) {
    const whole = fixturePicture(odd(number));
    const step = Math.ceil(whole.length / 150);
    for (let length = 0; length < whole.length; length += step)
      expect(() => decoder.decode(whole.subarray(0, length)), `${number} cut to ${length}`).toThrow(
        expect.objectContaining({ code: "DATA_INVALID" }),
      );
    expectRgb(decoder, number);
  }
});

test("I2 a thousand damaged files take no more memory than a few", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  const progressive = fixturePicture(odd(9005));
  const before = decoder.memoryBytes;
  for (let i = 0; i < 1000; i++) {
    const damaged = progressive.slice(0, progressive.length - 1 - (i % 97) * 50);
    if (i % 3 === 0) damaged[400 + i] = 0xff;
    expect(() => decoder.decode(damaged)).toThrow(expect.objectContaining({ code: "DATA_INVALID" }));
    // The 16th leaves nothing: the next picture begins anew.
    expect([0, before]).toContain(decoder.memoryBytes);
  }
  expectRgb(decoder, 9005);
});

test("I2 a large picture leaves no large memory behind", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  const before = decoder.memoryBytes;
  const raw = { width: 8000, height: 6000, channels: 3 } as const;
  const large = await sharp(Buffer.alloc(3 * raw.width * raw.height, 90), { raw, limitInputPixels: false })
    .jpeg()
    .toBuffer();
  expect(decoder.decode(new Uint8Array(large)).rgb[12_345]).toBe(90);
  expect(decoder.memoryBytes).toBe(0);
  expectRgb(decoder, 9002);
  expect(decoder.memoryBytes).toBe(before);
});

test("a module of another kind is told from the decoder's", async () => {
  const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  await expect(createJpegDecoder(empty)).rejects.toThrow(/is not libjpegturbowasm_decode.wasm/);
});
