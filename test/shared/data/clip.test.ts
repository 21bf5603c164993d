// The bytes of a clip, and what is refused of others.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type ClipCrop, MOST_CROPS, readClip, writeClip } from "../../../shared/data/clip.ts";

const crop = (frame: number, bytes = 3): ClipCrop => ({
  frame,
  width: 60.5,
  height: 40.25,
  jpeg: Uint8Array.from({ length: bytes }, (_, i) => frame + i),
});

test("A26 a clip has its crops by rising frames, with the target's size and a JPEG each", () => {
  const crops = [crop(0), crop(4, 1), crop(70000, 200)];
  const clip = readClip(writeClip(crops), "clip 0");
  expect(clip.frames).toEqual([0, 4, 70000]);
  expect(crops.map((_, i) => clip.crop(i))).toEqual(crops);
});

test("A27 bytes that are no clip are refused, and whatever bytes come, crops lie in them", () => {
  const whole = writeClip([crop(1), crop(2)]);
  const changed = (at: number, value: number) => {
    const bytes = whole.slice();
    new DataView(bytes.buffer).setUint32(at, value, true);
    return () => readClip(bytes, "clip 7");
  };
  expect(() => readClip(whole.subarray(0, 3), "clip 7")).toThrow(/clip 7 is no clip: it says 0 crops/);
  expect(changed(0, MOST_CROPS + 1)).toThrow(`it says ${MOST_CROPS + 1} crops, of at most ${MOST_CROPS}`);
  expect(changed(0, 0)).toThrow("it says 0 crops");
  expect(changed(20, 1)).toThrow("crop 1 is of frame 1, the one before of 1; frames must rise");
  expect(changed(16, 36)).toThrow("crop 0 ends at byte 36; expected 37 to 42");
  expect(changed(32, 41)).toThrow("its crops end at byte 41 of 42");
  expect(changed(32, 43)).toThrow("crop 1 ends at byte 43");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(3), (bytes, count) => {
      if (bytes.length > 0) bytes[0] = count;
      bytes.fill(0, 1, 4);
      let clip: ReturnType<typeof readClip>;
      try {
        clip = readClip(bytes, "a clip");
      } catch (error) {
        expect(error).toMatchObject({ code: "DATA_INVALID" });
        return;
      }
      const lengths = clip.frames.map((_, i) => clip.crop(i).jpeg.length);
      expect(lengths.reduce((sum, length) => sum + length, 4 + 16 * lengths.length)).toBe(bytes.length);
    }),
  );
});
