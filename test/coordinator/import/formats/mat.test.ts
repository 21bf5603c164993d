// The devkit's meta.mat, and files that only look like it.

import { readFileSync } from "node:fs";
import path from "node:path";
import { deflateSync, gunzipSync, inflateSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_MAT_BYTES, readStructures } from "../../../../coordinator/import/formats/mat.ts";
import { BitswarmError } from "../../../../shared/base/errors.ts";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";

const { root, expected } = imagenetFixtures();
const tar = gunzipSync(readFileSync(path.join(root, "ilsvrc2012/ILSVRC2012_devkit_t12.tar.gz")));
const at = tar.indexOf("ILSVRC2012_devkit_t12/data/meta.mat") + 512;
const size = Number.parseInt(tar.toString("latin1", at - 512 + 124, at - 512 + 135), 8);
const mat = new Uint8Array(tar.subarray(at, at + size));
const read = (bytes: Uint8Array) =>
  readStructures("meta.mat", bytes, "synsets", ["ILSVRC2012_ID", "WNID", "words", "num_children"]);

test("the devkit's classes with their ids, and what stands above them", () => {
  const rows = read(mat);
  const leaves = rows.filter((row) => row.num_children === 0);
  expect(leaves).toHaveLength(expected.classes.length);
  for (const { wnid, words, ilsvrc2012_id } of expected.classes) {
    expect(leaves).toContainEqual({ ILSVRC2012_ID: ilsvrc2012_id, WNID: wnid, words, num_children: 0 });
  }
  expect(rows.length).toBeGreaterThan(leaves.length);
});

const packed = (length: number) => {
  const body = deflateSync(Buffer.alloc(length));
  const tag = Buffer.alloc(8);
  tag.writeUInt32LE(15, 0);
  tag.writeUInt32LE(body.length, 4);
  return Buffer.concat([mat.subarray(0, 128), tag, body]);
};

test("what is no MAT 5 file, unpacks without end, or is cut off", () => {
  expect(() => read(Buffer.from("<html>".padEnd(200)))).toThrow(/meta\.mat: is no MAT 5 file/);
  expect(() => read(packed(MAX_MAT_BYTES + 1))).toThrow(/does not unpack to 67108864 bytes or fewer/);
  expect(() => read(mat.subarray(0, mat.length - 40))).toThrow(/of which \d+ are there/);
  expect(() => readStructures("m", mat, "synsets", ["nothing"])).toThrow(/has no field nothing, but ILSVRC2012_ID/);
  expect(() => readStructures("m", mat, "other", ["WNID"])).toThrow(/no structure array other/);
});

test("whatever is damaged in what is unpacked, rows come or a BitswarmError does", () => {
  // Elements may lie unpacked too: damage hits structure then, and not zlib's checksum.
  const plain = Buffer.concat([mat.subarray(0, 128), inflateSync(mat.subarray(136))]);
  expect(read(plain)).toEqual(read(mat));
  fc.assert(
    fc.property(fc.nat(plain.length - 129), fc.nat(255), fc.nat(3), (place, value, cut) => {
      const damaged = Buffer.from(cut === 0 ? plain.subarray(0, 128 + place) : plain);
      if (cut > 0) damaged[128 + (cut === 1 ? place % 200 : place)] = value;
      try {
        read(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(BitswarmError);
      }
    }),
    { numRuns: 2000 },
  );
});
