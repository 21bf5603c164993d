// Rules of binary frames.
import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c } from "../../../shared/base/crc32c.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { bytesToHex } from "../../../shared/base/hash.ts";
import { decodeFrame, encodeFrame, type FrameHeader, frameHeaderBytes, isFrame } from "../../../shared/wire/frame.ts";

const noLimit = 2 ** 32;
const u32 = fc.nat(0xffff_ffff);
const anyHex = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => bytesToHex(b));
const anyHeader: fc.Arbitrary<FrameHeader> = fc.record({
  kind: fc.constantFrom("parameters", "contribution"),
  codec: fc.constantFrom("none", "f32", "int8", "exact", "f16", "sign"),
  round: u32,
  lease: u32,
  samples: u32,
  tensors: u32,
  run: anyHex(16),
  parametersHash: anyHex(32),
});
const anyPayload = fc.uint8Array({ maxLength: 100 });

const header: FrameHeader = {
  kind: "contribution",
  codec: "int8",
  round: 0x01020304,
  lease: 0x11121314,
  samples: 0x21222324,
  tensors: 0x31323334,
  run: "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
  parametersHash: "c0c1".repeat(16),
};

const failure = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

/** Sets bytes of a good frame and makes its CRC right again: a peer that means it. */
function forged(edits: readonly (readonly [at: number, byte: number])[]): Uint8Array {
  const frame = encodeFrame(header, Uint8Array.of(1, 2, 3));
  for (const [at, byte] of edits) frame[at] = byte;
  const view = new DataView(frame.buffer);
  view.setUint32(20, 0, true);
  view.setUint32(20, crc32c(frame), true);
  return frame;
}

test("what is encoded is decoded, from any parts", () => {
  fc.assert(
    fc.property(anyHeader, fc.array(anyPayload, { maxLength: 4 }), (fields, parts) => {
      const frame = encodeFrame(fields, ...parts);
      const decoded = decodeFrame(frame, frame.length);
      expect(decoded.header).toEqual(fields);
      expect([...decoded.payload]).toEqual(parts.flatMap((part) => [...part]));
      expect(decoded.payload.buffer).toBe(frame.buffer);
    }),
  );
});

test("a frame is laid out byte for byte as the protocol says", () => {
  const frame = encodeFrame(header, Uint8Array.of(0xf0), Uint8Array.of(0xf1, 0xf2));
  const crc = bytesToHex(frame.subarray(20, 24));
  expect(bytesToHex(frame)).toBe(
    ["4253574d", "02", "02", "02", "00", "04030201", "14131211", "03000000", crc, "24232221", "34333231"].join("") +
      header.run +
      header.parametersHash +
      "f0f1f2",
  );
  const zeroed = Uint8Array.from(frame).fill(0, 20, 24);
  expect(new DataView(frame.buffer).getUint32(20, true)).toBe(crc32c(zeroed));
});

test("a flipped bit is always detected", () => {
  fc.assert(
    fc.property(anyHeader, anyPayload, fc.nat(), (fields, payload, position) => {
      const frame = encodeFrame(fields, payload);
      const bit = position % (frame.length * 8);
      frame[bit >>> 3]! ^= 1 << (bit & 7);
      expect(() => decodeFrame(frame, noLimit)).toThrow(BitswarmError);
    }),
    { numRuns: 500 },
  );
});

test("a truncated frame is always detected", () => {
  fc.assert(
    fc.property(anyHeader, anyPayload, fc.nat(), (fields, payload, cut) => {
      const frame = encodeFrame(fields, payload);
      const part = frame.subarray(0, cut % frame.length);
      expect(() => decodeFrame(part, noLimit)).toThrow(failure("FRAME_TRUNCATED", new RegExp(`${part.length}`)));
    }),
  );
});

test("any bytes are a frame or a BitswarmError, nothing else", () => {
  const begun = fc.uint8Array({ maxLength: 200 }).map((tail) => Uint8Array.of(0x42, 0x53, 0x57, 0x4d, 1, ...tail));
  const edits = fc.array(fc.tuple(fc.nat(82), fc.nat(255)), { maxLength: 5 });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), begun, edits.map(forged)), fc.nat(300), (bytes, limit) => {
      try {
        decodeFrame(bytes, limit);
      } catch (error) {
        if (!(error instanceof BitswarmError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

test("decoding leaves the bytes as they were, of a Buffer and at any alignment too", () => {
  const frame = encodeFrame(header, Uint8Array.of(1, 2, 3));
  for (let shift = 0; shift < 8; shift++) {
    const buffer = Buffer.alloc(frame.length + shift);
    buffer.set(frame, shift);
    for (let times = 0; times < 2; times++) {
      const decoded = decodeFrame(buffer.subarray(shift), noLimit);
      expect(decoded.header).toEqual(header);
      expect([...decoded.payload]).toEqual([1, 2, 3]);
    }
  }
});

test("a frame over the limit is refused, also one that only announces it", () => {
  const frame = encodeFrame(header, new Uint8Array(20));
  expect(decodeFrame(frame, 100).payload.length).toBe(20);
  expect(() => decodeFrame(frame, 99)).toThrow(failure("FRAME_TOO_LARGE", /100 bytes.*limit is 99/));
  new DataView(frame.buffer).setUint32(16, 0xffff_ffff, true);
  expect(() => decodeFrame(frame, 1000)).toThrow(failure("FRAME_TOO_LARGE", /4294967375 bytes.*limit is 1000/));
});

test("bytes after the payload are refused", () => {
  const frame = encodeFrame(header, Uint8Array.of(1));
  expect(() => decodeFrame(Uint8Array.of(...frame, 0), noLimit)).toThrow(failure("FRAME_CORRUPT", /81.*82/));
});

test("another magic, kind, codec or flag is FRAME_CORRUPT although the CRC is right", () => {
  expect(() => decodeFrame(forged([[0, 0x43]]), noLimit)).toThrow(failure("FRAME_CORRUPT", /4353574d.*4253574d/));
  expect(() => decodeFrame(forged([[5, 0]]), noLimit)).toThrow(failure("FRAME_CORRUPT", /kind 0.*1 \(parameters\)/));
  expect(() => decodeFrame(forged([[5, 5]]), noLimit)).toThrow(failure("FRAME_CORRUPT", /kind 5/));
  expect(() => decodeFrame(forged([[6, 6]]), noLimit)).toThrow(failure("FRAME_CORRUPT", /codec 6.*3 \(exact\)/));
  expect(() => decodeFrame(forged([[7, 1]]), noLimit)).toThrow(failure("FRAME_CORRUPT", /flags are 1/));
});

test("another version is PROTOCOL_MISMATCH", () => {
  expect(() => decodeFrame(forged([[4, 1]]), noLimit)).toThrow(failure("PROTOCOL_MISMATCH", /version 1.*speaks 2/));
});

test("isFrame goes by the magic alone", () => {
  expect(isFrame(encodeFrame(header))).toBe(true);
  expect(isFrame(Uint8Array.of(0x42, 0x53, 0x57, 0x4d))).toBe(true);
  expect(isFrame(Uint8Array.of(0x42, 0x53, 0x57))).toBe(false);
  expect(isFrame(Uint8Array.of(0x83, 0x53, 0x57, 0x4d))).toBe(false);
  expect(isFrame(new Uint8Array())).toBe(false);
});

test("a field that does not fit is refused before anything is sent", () => {
  expect(encodeFrame(header).length).toBe(frameHeaderBytes);
  for (const round of [-1, 0.5, NaN, 2 ** 32]) expect(() => encodeFrame({ ...header, round })).toThrow(RangeError);
  expect(() => encodeFrame({ ...header, run: "a0" })).toThrow(RangeError);
  expect(() => encodeFrame({ ...header, parametersHash: "zz".repeat(32) })).toThrow(RangeError);
});
