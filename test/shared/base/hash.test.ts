// Rules of content addresses.
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytesToHex, hexToBytes, sha256Hex } from "../../../shared/base/hash.ts";
import { encodeText } from "../../../shared/base/text.ts";

test("sha256Hex gives FIPS 180-4's example", () => {
  expect(sha256Hex(encodeText("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("hex gives the same bytes back, in lower case", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const hex = bytesToHex(bytes);
      expect(hex).toMatch(/^[0-9a-f]*$/);
      expect(hexToBytes(hex)).toEqual(bytes);
      expect(hexToBytes(hex.toUpperCase())).toEqual(bytes);
    }),
  );
});

test("what is not hex is refused", () => {
  for (const text of ["0", "0g", " 0", "é0"]) expect(() => hexToBytes(text)).toThrow(RangeError);
});
