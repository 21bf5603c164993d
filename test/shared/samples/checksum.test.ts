// The checksum of decoded samples: the same however they are cut and ordered, another for any other byte.

import { expect, test } from "vitest";
import { crc32c } from "../../../shared/base/crc32c.ts";
import { joinedChecksum, sampleChecksum } from "../../../shared/samples/checksum.ts";

const image = Uint8Array.of(1, 2, 3, 250);
const label = Uint32Array.of(258);

test("a sample's is the CRC-32C of its inputs' bytes and then of its targets', little-endian", () => {
  expect(sampleChecksum([image, label])).toBe(crc32c(Uint8Array.of(1, 2, 3, 250, 2, 1, 0, 0)));
  expect(sampleChecksum([image, Uint32Array.of(259)])).not.toBe(sampleChecksum([image, label]));
  expect(sampleChecksum([Float32Array.of(1)])).toBe(crc32c(Uint8Array.of(0, 0, 0x80, 0x3f)));
});

test("that of many is their sum modulo 2^32, in any order", () => {
  const each = [0xffff_fff0, 0x8000_0001, 17].map((x) => x >>> 0);
  expect(each.reduce(joinedChecksum, 0)).toBe(0x8000_0002);
  expect(each.toReversed().reduce(joinedChecksum, 0)).toBe(0x8000_0002);
});
