// What a source may claim or hold, at its limits.

import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { MAX_MAT_BYTES, readStructures } from "../../../../coordinator/import/formats/mat.ts";
import {
  MAX_GROUP_BYTES,
  MAX_GROUP_ROWS,
  MAX_PAGE_HEADER_BYTES,
} from "../../../../coordinator/import/formats/parquet.ts";
import { MAX_PICKLE_BYTES, MAX_PICKLE_THINGS, readPickle } from "../../../../coordinator/import/formats/pickle.ts";
import { MAX_NAMES_BYTES } from "../../../../coordinator/import/layouts/cifar-batches.ts";
import { MAX_SAMPLE_BYTES } from "../../../../coordinator/import/layouts/layout.ts";
import { boundedLeft, MOST_LEFT } from "../../../../coordinator/import/layouts/left.ts";
import { DEEPEST, Listing } from "../../../../coordinator/import/layouts/listing.ts";
import { MAX_JSON_BYTES } from "../../../../coordinator/import/layouts/webdataset-sample.ts";
import { MAX_TEXT_BYTES, MOST_CLASSES, requireClasses } from "../../../../coordinator/import/layouts/wordnet.ts";
import { cifarFile } from "../../../fixtures/cifar-files.ts";
import { parquetOf } from "./parquet-writer.ts";
import { folderOf, itemsOf, labelsOf, openAt } from "./reading.ts";
import { tarOf } from "./tars.ts";

const picture = Uint8Array.from([0xff, 0xd8, 0xff, 0xd9]);

test("a picture that is too large is a reject by its name, in a folder and in a tar", async () => {
  const root = folderOf({ "train/a/1.jpg": picture, "train/b/2.jpg": picture });
  truncateSync(path.join(root, "train/b/2.jpg"), MAX_SAMPLE_BYTES + 1);
  const [, folder] = await itemsOf((await openAt(root)).splits.train);
  const why = `has ${MAX_SAMPLE_BYTES + 1} bytes; at most ${MAX_SAMPLE_BYTES} are read`;
  expect(folder.reject).toEqual({ source: "train/b/2.jpg", why });
  const shard = await tarOf({
    "a.cls": "0",
    "a.jpg": new Uint8Array(MAX_SAMPLE_BYTES + 1),
    "b.cls": "1",
    "b.jpg": picture,
  });
  const items = await itemsOf((await openAt(folderOf({ "s.tar": shard }))).splits.train);
  expect(items.map(({ sample, reject }) => sample?.name ?? reject)).toEqual([{ source: "s.tar: a", why }, "b"]);
});

test("folders are looked into so deep and no deeper, which is told", async () => {
  const deep = Array.from({ length: DEEPEST }, (_, i) => `d${i}`).join("/");
  const root = folderOf({ "train/a/1.jpg": picture, "train/b/1.jpg": picture, [`train/b/${deep}/2.jpg`]: picture });
  const source = await openAt(root);
  expect(Object.keys(await labelsOf(source.splits.train))).toEqual(["a/1.jpg", "b/1.jpg"]);
  expect(source.left.map(({ why }) => why)).toEqual([`deeper than ${DEEPEST} folders`]);
});

test("what is passed over is listed up to a number", () => {
  const left = Array.from({ length: MOST_LEFT + 5 }, (_, i) => ({ source: String(i), why: "" }));
  expect(boundedLeft(left)).toHaveLength(MOST_LEFT + 1);
  expect(boundedLeft(left).at(-1)).toEqual({ source: "5 more", why: "not listed one by one" });
});

test("tables of text have a largest size", async () => {
  const root = folderOf({ "wnids.txt": "", "train/n01000000/images/a.JPEG": picture });
  truncateSync(path.join(root, "wnids.txt"), MAX_TEXT_BYTES + 1);
  await expect(openAt(root)).rejects.toThrow(/wnids\.txt has 67108865 bytes; at most 67108864 are read/);
});

test("classes are at least 2 and fit into labels of two bytes", () => {
  expect(() => requireClasses(1, "x")).toThrow(/x has 1 class; a training set has at least 2/);
  expect(() => requireClasses(MOST_CLASSES + 1, "x")).toThrow(/has 65537 classes; the limit is 65536/);
  requireClasses(MOST_CLASSES, "x");
});

test("pickles and MAT files have largest sizes, and pickles a number of things", () => {
  expect(() => readPickle("p", new Uint8Array(MAX_PICKLE_BYTES + 1))).toThrow(/at most 268435456 are read/);
  const things = Buffer.concat([
    Buffer.from("\x80\x02](", "latin1"),
    Buffer.alloc(MAX_PICKLE_THINGS, "N"),
    Buffer.from("e."),
  ]);
  expect(() => readPickle("p", things)).toThrow(/more than 2097152 things/);
  expect(() => readStructures("m", new Uint8Array(MAX_MAT_BYTES + 1), "s", [])).toThrow(/the limit is 67108864/);
});

test("names of CIFAR's classes have a largest size", async () => {
  const record = cifarFile([{ labels: [0], pixel: () => 0 }]);
  const batches = [1, 2, 3, 4, 5].map((n) => [`data_batch_${n}.bin`, record] as const);
  const root = folderOf({ ...Object.fromEntries(batches), "test_batch.bin": record });
  writeFileSync(path.join(root, "batches.meta.txt"), "x".repeat(MAX_NAMES_BYTES + 1));
  await expect(openAt(root)).rejects.toThrow(/batches\.meta\.txt has 65537 bytes; the limit is 65536/);
});

test("JSON of a WebDataset that is too long tells no id", async () => {
  const long = JSON.stringify({ wnid: "n01000000", more: "x".repeat(MAX_JSON_BYTES) });
  const shard = await tarOf({ "a.jpg": picture, "a.cls": "1", "a.json": long, "b.jpg": picture, "b.cls": "0" });
  const source = await openAt(folderOf({ "s.tar": shard }));
  expect(source.classes).toEqual([{ name: "0" }, { name: "1" }]);
});

const rows = [0, 1].map((label) => ({ content: picture, path: null, label }));

test("row groups of Parquet have a largest size and number of rows, with what to do", async () => {
  const large = parquetOf(rows, { claimedBytes: MAX_GROUP_BYTES + 1 });
  await expect(openAt(folderOf({ "t.parquet": large }))).rejects.toThrow(
    /row group 0 unpacks to more than 167772160 bytes, .*write it with smaller ones: python -c/,
  );
  const many = parquetOf(rows, { claimedRows: MAX_GROUP_ROWS + 1 });
  await expect(openAt(folderOf({ "t.parquet": many }))).rejects.toThrow(
    /row group 0 has 4194305 rows; the limit is 4194304/,
  );
  const header = parquetOf(rows, { headerBytes: MAX_PAGE_HEADER_BYTES });
  await expect(openAt(folderOf({ "t.parquet": header }))).rejects.toThrow(
    /no header of a page at byte \d+ \(it does not end\)/,
  );
  const fits = await openAt(folderOf({ "t.parquet": parquetOf(rows, { headerBytes: 50_000 }) }));
  expect(fits.splits.train.samples).toBe(2);
});

test("long names, names of other scripts and endings in capitals are names", async () => {
  const long = "ä".repeat(120);
  const root = folderOf({
    [`train/猫 と犬/${long}.JPG`]: picture,
    "train/b\u0301/😀.JpEg": picture,
    "train/b\u0301/x.PNG": picture,
  });
  const source = await openAt(root);
  expect(await labelsOf(source.splits.train)).toEqual({
    "b\u0301/x.PNG": 0,
    "b\u0301/😀.JpEg": 0,
    [`猫 と犬/${long}.JPG`]: 1,
  });
});

test("a name that is not UTF-8 is passed over and told: it could not be opened", async () => {
  const root = folderOf({ "train/a/1.jpg": picture, "train/b/1.jpg": picture });
  writeFileSync(Buffer.concat([Buffer.from(`${root}/train/a/`), Buffer.from([0xe9]), Buffer.from(".jpg")]), picture);
  const source = await openAt(root);
  expect(Object.keys(await labelsOf(source.splits.train))).toEqual(["a/1.jpg", "b/1.jpg"]);
  expect(source.left[0]?.why).toBe("its name is not UTF-8");
});

test("a folder that goes away while it is read ends the import with its name", async () => {
  const root = folderOf({ "train/a/1.jpg": picture, "train/a/2.jpg": picture, "train/b/1.jpg": picture });
  const { splits } = await openAt(root);
  const [first] = await itemsOf(splits.train);
  truncateSync(path.join(root, "train/a/1.jpg"), 0);
  const changed = await openAt(root);
  const { cursor } = first;
  expect((await itemsOf(changed.splits.train, cursor)).map(({ sample }) => sample?.name)).toEqual([
    "a/2.jpg",
    "b/1.jpg",
  ]);
  const other = folderOf({ "train/a/2.jpg": picture, "train/b/1.jpg": picture });
  await expect(itemsOf((await openAt(other)).splits.train, cursor)).rejects.toThrow(
    /no longer has 1\.jpg, which was read last/,
  );
});

test("snapshots of Hugging Face's cache are links to blobs beside them, and are read", async () => {
  const root = folderOf({ "datasets--me--set/blobs/abc": parquetOf(rows) });
  const snapshot = path.join(root, "datasets--me--set/snapshots/0123");
  mkdirSync(path.join(snapshot, "data"), { recursive: true });
  symlinkSync("../../../blobs/abc", path.join(snapshot, "data/train-00000-of-00001.parquet"));
  expect((await openAt(snapshot)).splits.train.samples).toBe(2);
  const listing = await Listing.of(snapshot);
  expect((await listing.folder("data")).left).toEqual([]);
});
