// Rule F12 of SPEC.md: what no message holds is refused before anything is made of it.

import fc from "fast-check";
import { Packr } from "msgpackr";
import { expect, test } from "vitest";
import { isPlainMsgpack } from "../../../shared/wire/plain-msgpack.ts";
import { decodeWorkerMessage } from "../../../shared/wire/protocol.ts";

const packr = new Packr({ useRecords: false });
const repeated = (times: number, ...unit: readonly number[]) => Array.from({ length: times }, () => unit).flat();

test("what the library writes of plain values is plain, and nothing that is cut off or has more behind it", () => {
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double(),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.array(tie("value"), { maxLength: 40 }),
      fc.dictionary(fc.string(), tie("value"), { maxKeys: 40 }),
    ),
  })).value;
  fc.assert(
    fc.property(plain, fc.nat(), (value, cut) => {
      // The library counts the maps and lists of a value.
      const bytes = Uint8Array.from(packr.pack(value));
      const deep = JSON.stringify(value, (_, one) => (typeof one === "bigint" ? 0 : one)).replace(
        /"(\\.|[^"\\])*"/g,
        "",
      );
      fc.pre(!/([[{][^\]}]*){14}/.test(deep));
      expect(isPlainMsgpack(bytes)).toBe(true);
      expect(isPlainMsgpack(bytes.subarray(0, cut % bytes.length))).toBe(false);
      expect(isPlainMsgpack(Uint8Array.of(...bytes, 0xc0))).toBe(false);
    }),
    { numRuns: 300 },
  );
});

test("any bytes are plain only where the library reads a plain value of them", () => {
  const heads = fc.constantFrom(...repeated(1, ...Array.from({ length: 256 }, (_, head) => head)));
  fc.assert(
    fc.property(fc.array(heads, { minLength: 1, maxLength: 60 }), (list) => {
      const bytes = Uint8Array.from(list);
      if (isPlainMsgpack(bytes)) packr.unpack(bytes);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ["a pattern", [0xd4, 0x78, 0x00, 0x92, 0xa3, 0x28, 0x61, 0x29, 0xa0]],
  ["an error", [0xd4, 0x65, 0x00, 0x93, 0xa5, 0x45, 0x72, 0x72, 0x6f, 0x72, 0xa0, 0xa0]],
  ["a set", [0xd4, 0x73, 0x00, 0x90]],
  ["a class of its own", [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]],
  ["a reference to itself", [0xd6, 0x69, 0, 0, 0, 1, 0x91, 0xd6, 0x70, 0, 0, 0, 1]],
  ["a date", [0xd6, 0xff, 0, 0, 0, 0]],
  ["a large integer of the library's own", [0xc7, 0x10, 0x42, ...repeated(16, 0x7f)]],
  ["a byte that msgpack never uses", [0xc1]],
  ["a hundred lists within one another", [...repeated(100, 0x91), 0xc0]],
  ["a list that promises four billion values", [0xdd, 0xff, 0xff, 0xff, 0xff]],
  ["a map that promises more than is there", [0xdf, 0, 0, 0, 9, 0xa1, 0x61, 0xc0]],
  ["a text that is cut off", [0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]],
  ["two values", [0x80, 0x80]],
  ["nothing", []],
])("F12 %s is MESSAGE_INVALID, alone and within a message", (_, bytes) => {
  const refused = expect.objectContaining({
    code: "MESSAGE_INVALID",
    message: expect.stringContaining("plain msgpack"),
  });
  expect(() => decodeWorkerMessage(Uint8Array.from(bytes))).toThrow(refused);
  const text = (word: string) => [0xa0 | word.length, ...Buffer.from(word)];
  const ping = [0x82, ...text("type"), ...text("ping"), ...text("nonce"), ...bytes];
  expect(() => decodeWorkerMessage(Uint8Array.from(ping))).toThrow(refused);
});
