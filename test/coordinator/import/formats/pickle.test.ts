// Pickles of CIFAR, and pickles that would do more than hold data.

import { readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type PickledArray, readPickle } from "../../../../coordinator/import/formats/pickle.ts";
import { BitswarmError } from "../../../../shared/base/errors.ts";
import { sha256Hex } from "../../../../shared/base/hash.ts";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";

const { root, expected } = imagenetFixtures();
const batch = new Uint8Array(readFileSync(path.join(root, "cifar-10-batches-py/data_batch_1")));
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "latin1"));

test("a batch of CIFAR-10 has its labels and pixels", () => {
  const read = readPickle("data_batch_1", batch);
  const { labels, sha256 } = expected.cifar10.data_batch_1!;
  expect(read.get("labels")).toEqual(labels);
  const { shape, bytes } = read.get("data") as PickledArray;
  expect(shape).toEqual([labels.length, 3072]);
  expect(sha256Hex(bytes)).toBe(sha256);
});

test("memory of earlier things, long numbers, tuples and booleans", () => {
  const text = "\x80\x02}q\x01(U\x01aq\x02]q\x03(h\x02\x8a\x01\xffNeX\x01\x00\x00\x00b\x88\x89\x86u.";
  expect(readPickle("x", bytesOf(text))).toEqual(
    new Map<string, unknown>([
      ["a", ["a", -1, null]],
      ["b", [true, false]],
    ]),
  );
});

test.each([
  ["a name that runs a program", "\x80\x02cos\nsystem\nU\x02ls\x85R.", /os\.system is named, which is not known/],
  ["a name of builtins", "\x80\x02c__builtin__\neval\nU\x011\x85R.", /eval is named/],
  ["an array of 64 bits", "\x80\x02cnumpy\ndtype\nU\x02i8K\x00K\x01\x87R.", /no dictionary of plain values/],
  ["text pickles of protocol 0", "(dp0\n.", /no pickle of protocol 2/],
  ["an operation that is not known", "\x80\x02P1\n.", /operation "P" is not known/],
  ["a length beyond the end", "\x80\x02T\xff\xff\xff\x7f.", /2147483647 bytes are said to follow/],
  ["a list in place of a dictionary", "\x80\x02].", /no dictionary/],
  ["nothing on the stack", "\x80\x02.", /taken where nothing is/],
  ["a list in itself", "\x80\x02}U\x01a]q\x01h\x01as.", /no dictionary of plain values/],
])("%s is refused", (_, text, why) => {
  expect(() => readPickle("x", bytesOf(text))).toThrow(why);
});

test("a list that is used a thousand times in one used a thousand times has a limit", () => {
  const thousand = (of: string, put: string) => `](${of.repeat(1500)}eq${put}`;
  const text = `\x80\x02}U\x01a${thousand("K\x01", "\x01")}0s.`;
  expect(() => readPickle("x", bytesOf(text))).toThrow(/operation "0"/);
  const nested = `\x80\x02}(U\x01a${thousand("K\x01", "\x01")}U\x01b${thousand("h\x01", "\x02")}U\x01c${thousand("h\x02", "\x03")}u.`;
  expect(() => readPickle("x", bytesOf(nested))).toThrow(/no dictionary of plain values/);
});

test("whatever is damaged, a value comes or a BitswarmError does", () => {
  fc.assert(
    fc.property(fc.nat(200), fc.nat(255), fc.nat(batch.length), (at, value, end) => {
      const damaged = batch.slice(0, end % 3 === 0 ? end : batch.length);
      if (at < damaged.length) damaged[at] = value;
      try {
        readPickle("x", damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(BitswarmError);
      }
    }),
    { numRuns: 2000 },
  );
});
