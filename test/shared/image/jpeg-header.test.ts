// What a JPEG says of itself, read without decoding it.
import fc from "fast-check";
import { expect, test } from "vitest";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { inspectJpeg, withoutMetadata } from "../../../shared/image/jpeg-header.ts";
import { exifOrientation } from "../../../shared/image/upright.ts";
import { fixturePicture, imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";

const { bad } = imagenetFixtures().expected;
const odd = (number: number) => fixturePicture(Object.keys(bad).find((name) => name.endsWith(`_${number}.JPEG`))!);

test("how a picture is coded stands in its header", () => {
  expect(inspectJpeg(odd(9021))).toEqual({
    width: 1400,
    height: 1050,
    precision: 8,
    components: 3,
    process: "baseline",
    arithmetic: false,
    sampling: [
      [2, 2],
      [1, 1],
      [1, 1],
    ],
    metadataBytes: 0,
    scans: 1,
    restartInterval: 0,
    complete: true,
    trailingBytes: 0,
    strayBytes: 0,
  });
  expect(inspectJpeg(odd(9001))).toMatchObject({ components: 4, adobeTransform: 0 });
  expect(inspectJpeg(odd(9002))).toMatchObject({ components: 1 });
  expect(inspectJpeg(odd(9003))).toMatchObject({ metadataBytes: 36 });
  expect(inspectJpeg(odd(9005))).toMatchObject({ process: "progressive", scans: 10 });
  expect(inspectJpeg(odd(9008))).toMatchObject({ restartInterval: 4 });
  expect(inspectJpeg(odd(9009))).toMatchObject({ process: "extended", arithmetic: true });
  expect(inspectJpeg(odd(9012))).toMatchObject({ precision: 12 });
  expect(inspectJpeg(odd(9015))).toMatchObject({ width: 65500, height: 65500 });
  expect(inspectJpeg(odd(9016))).toMatchObject({ complete: true, trailingBytes: 72 });
  expect(inspectJpeg(odd(9017))).toMatchObject({ complete: false, trailingBytes: 0 });
  expect(inspectJpeg(odd(9018))).toMatchObject({ components: 3, adobeTransform: 0 });
});

test("a file of another kind is told by what it begins with", () => {
  expect(() => inspectJpeg(odd(2933))).toThrow("it begins with 89 50 4e 47 (·PNG");
  expect(() => inspectJpeg(odd(9020))).toThrow("<html>404");
  expect(() => inspectJpeg(odd(9007))).toThrow("it has no bytes");
});

test("a header cut at any byte is an error of the data, never another one", () => {
  const whole = odd(9003);
  const { scans } = inspectJpeg(whole);
  expect(scans).toBe(1);
  for (let length = 0; length < 700; length++) {
    try {
      expect(inspectJpeg(whole.subarray(0, length)).complete).toBe(false);
    } catch (error) {
      expect(error).toMatchObject({ code: "DATA_INVALID" });
    }
  }
});

test("without its metadata a picture has the same pixels", async () => {
  const decoder = await createJpegDecoder(jpegModule());
  for (const number of [9003, 9004, 9005, 9008, 9016, 9018]) {
    const bare = withoutMetadata(odd(number));
    expect(inspectJpeg(bare)).toMatchObject({ metadataBytes: 0, trailingBytes: 0, complete: true });
    expect(Buffer.compare(decoder.decode(bare).rgb, decoder.decode(odd(number)).rgb)).toBe(0);
  }
  expect(withoutMetadata(odd(9003)).length).toBe(odd(9003).length - 36);
  // Nothing to take away: the same bytes.
  expect(withoutMetadata(odd(9005))).toEqual(odd(9005));
});

test("stray bytes between segments are counted, and left out", () => {
  const whole = odd(9002);
  const strayed = new Uint8Array([...whole.subarray(0, 2), 0, 1, 2, ...whole.subarray(2)]);
  expect(inspectJpeg(strayed)).toMatchObject({ strayBytes: 3, complete: true });
  expect(withoutMetadata(strayed)).toEqual(whole);
});

test("a stranger's EXIF says how to turn a picture, or nothing: truncated and lying ones are taken as they are", () => {
  /** A directory at byte 8 with another entry first, in either order of bytes. */
  const exif = (little: boolean, orientation: number, entries = 2) => {
    const view = new DataView(new ArrayBuffer(8 + 2 + 24));
    view.setUint16(0, little ? 0x4949 : 0x4d4d);
    view.setUint16(2, 42, little);
    view.setUint32(4, 8, little);
    view.setUint16(8, entries, little);
    [0x0100, 0x0112].forEach((tag, entry) => {
      view.setUint16(10 + 12 * entry, tag, little);
      view.setUint16(12 + 12 * entry, 3, little);
      view.setUint32(14 + 12 * entry, 1, little);
      view.setUint16(18 + 12 * entry, orientation, little);
    });
    return new Uint8Array(view.buffer);
  };
  expect([true, false].map((little) => exifOrientation(exif(little, 6)))).toEqual([6, 6]);
  expect([0, 9, 65_535].map((wrong) => exifOrientation(exif(true, wrong)))).toEqual([1, 1, 1]);
  expect(exifOrientation(exif(true, 6, 65_535))).toBe(6);
  expect(exifOrientation(exif(true, 6, 1))).toBe(1);
  fc.assert(
    fc.property(fc.boolean(), fc.nat(33), fc.nat(255), fc.nat(34), (little, at, byte, length) => {
      const bytes = exif(little, 6);
      bytes[at] = byte;
      expect([1, 2, 3, 4, 5, 6, 7, 8]).toContain(exifOrientation(bytes.subarray(0, length)));
    }),
  );
});
