// Rules of text and bytes.
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeText, encodeText } from "../../../shared/base/text.ts";

test("any well-formed text survives encoding and decoding, a byte-order mark included", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => decodeText(encodeText(text)) === text));
  expect(decodeText(encodeText("\uFEFFa"))).toBe("\uFEFFa");
});

test("bytes that are not UTF-8 are refused, not replaced", () => {
  expect(() => decodeText(Uint8Array.of(0x61, 0xff))).toThrow(TypeError);
});
