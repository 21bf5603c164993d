// WebDataset shards: keys, neighbours, and classes in their writers' order.

import path from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { keyOf, MAX_CLS_BYTES } from "../../../../coordinator/import/layouts/webdataset-sample.ts";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { folderOf, itemsOf, labelsOf, openAt, resumesEverywhere } from "./reading.ts";
import { tarOf } from "./tars.ts";

const { root, expected } = imagenetFixtures();

test("the fixtures' shards give the labels of expected.json, as a folder and by braces", async () => {
  const source = await openAt(path.join(root, "webdataset"));
  expect(source.kind).toBe("webdataset");
  expect(await labelsOf(source.splits.train)).toEqual(expected.layouts.webdataset!.train);
  expect(await labelsOf(source.splits.val)).toEqual(expected.layouts.webdataset!.val);
  expect(source.classes.map(({ id }) => id)).toEqual(expected.classes.map(({ wnid }) => wnid));
  expect(source.notices).toEqual([]);
  expect(await resumesEverywhere(source.splits.train)).toBe(true);
  const braces = await openAt(path.join(root, "webdataset/imagenet1k-{train,validation}-{00..00}.tar")).catch((e) => e);
  expect(braces.message).toMatch(/means 2 files, of which 1 are not there, imagenet1k-train-00\.tar the first/);
  const train = await openAt(path.join(root, "webdataset/imagenet1k-train-{0000..0002}.tar"));
  expect(await labelsOf(train.splits.train)).toEqual(expected.layouts.webdataset!.train);
});

test("a key ends at the first dot of the base name", () => {
  expect(keyOf("a.b/c.d.seg.PNG")).toEqual(["a.b/c", "d.seg.png"]);
  expect(keyOf("n01440764_1")).toEqual(["n01440764_1", ""]);
});

test("numbers in another order than WordNet ids are mapped, and that is told", async () => {
  const shard = await tarOf([
    ["n02000000_1.cls", "0"],
    ["n02000000_1.jpg", "x"],
    ["n01000000_1.jpg", "y"],
    ["n01000000_1.cls", "1"],
    ["plain.cls", "0"],
    ["plain.jpeg", "z"],
  ]);
  const source = await openAt(folderOf({ "train-0.tar": shard }));
  expect(await labelsOf(source.splits.train)).toEqual({ n02000000_1: 1, n01000000_1: 0, plain: 1 });
  expect(source.notices.join()).toMatch(/2 of 2 unlike that of published models: labels go by WordNet ids/);
  expect(source.notices.join()).toMatch(/1 pictures have no WordNet id/);
});

test("numbers alone are classes in the order of who wrote them", async () => {
  const shard = await tarOf({ "a.jpg": "x", "a.cls": "2\n", "b.jpg": "y", "b.cls": "0" });
  const source = await openAt(folderOf({ "x.tar": shard }));
  expect(source.classes.map(({ name }) => name)).toEqual(["0", "1", "2"]);
  expect(await labelsOf(source.splits.train)).toEqual({ a: 2, b: 0 });
});

test("numbers of which some have no WordNet id anywhere cannot be put in order", async () => {
  const shard = await tarOf({ "n01000000_1.jpg": "", "n01000000_1.cls": "0", "b.jpg": "", "b.cls": "1" });
  await expect(openAt(folderOf({ "x.tar": shard }))).rejects.toThrow(
    /classes 1 of \.cls are of pictures without WordNet ids/,
  );
});

test("pictures without a class, classes without a picture, and what is not beside each other are rejects by name", async () => {
  const shard = await tarOf([
    ["a.jpg", "x"],
    ["a.cls", "0"],
    ["b.jpg", "no class"],
    ["c.cls", "1"],
    ["d.jpg", "x"],
    ["d.cls", "many"],
    ["e.cls", "1"],
    ["e.jpg", "x"],
    ["f.jpg", "x"],
    ["f.cls", "1".repeat(MAX_CLS_BYTES + 1)],
    ["b.cls", "1"],
  ]);
  const { splits } = await openAt(folderOf({ "t-train-00.tar": shard }));
  const items = await itemsOf(splits.train);
  expect(items.map(({ sample, reject }) => sample?.name ?? reject?.source)).toEqual([
    "a",
    "t-train-00.tar: b",
    "t-train-00.tar: c",
    "t-train-00.tar: d",
    "e",
    "t-train-00.tar: f",
    "t-train-00.tar: b",
  ]);
  const why = items.flatMap(({ reject }) => reject?.why ?? []);
  expect(why[0]).toMatch(/neither a \.cls nor a WordNet id/);
  expect(why[1]).toMatch(/no picture beside it/);
  expect(why[2]).toMatch(/\.cls is no number/);
  expect(await resumesEverywhere(splits.train)).toBe(true);
});

test("packed shards, splits in folders, a test split without labels", async () => {
  const labelled = await tarOf({ "a.jpg": "x", "a.cls": "1", "b.jpg": "x", "b.cls": "0" });
  const without = await tarOf({ "q.jpg": "x", "q.json": "{}" });
  const source = await openAt(
    folderOf({ "train/0.tar.gz": gzipSync(labelled), "val/0.tar": labelled, "test/0.tar": without }),
  );
  expect(await labelsOf(source.splits.train)).toEqual({ a: 1, b: 0 });
  expect(await labelsOf(source.splits.val)).toEqual({ a: 1, b: 0 });
  expect(source.splits.test).toBeUndefined();
  expect(source.notices.join()).toMatch(/passed over: test\/0\.tar/);
});

test("keys that begin anew in each shard name samples together with it", async () => {
  const shard = await tarOf({ "000.jpg": "x", "000.cls": "1", "001.jpg": "x", "001.cls": "0" });
  const source = await openAt(folderOf({ "train-0.tar": shard, "train-1.tar": shard }));
  expect(Object.keys(await labelsOf(source.splits.train))).toEqual([
    "train-0.tar/000",
    "train-0.tar/001",
    "train-1.tar/000",
    "train-1.tar/001",
  ]);
});

test("a shard that is cut off is refused with its name and byte", async () => {
  const shard = await tarOf({ "a.jpg": "x".repeat(3000), "a.cls": "1", "b.jpg": "x", "b.cls": "0" });
  const root = folderOf({ "s-train-0.tar": shard, "s-train-1.tar": shard.subarray(0, 3000) });
  await expect(openAt(root)).rejects.toThrow(
    /s-train-1\.tar: the archive is cut off: .* at byte \d+; get the file again/,
  );
  const empty = folderOf({ "s-train-0.tar": "", "s-train-1.tar": shard });
  await expect(openAt(empty)).rejects.toThrow(/s-train-0\.tar has 0 bytes: get the file again/);
});
