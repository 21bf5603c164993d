// Image folders as people have them.

import { symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { baseLabelsOf, folderOf, itemsOf, labelsOf, openAt, resumesEverywhere } from "./reading.ts";

const jpeg = Uint8Array.from([0xff, 0xd8, 0xff, 0xd9]);
const files = (...names: string[]) => Object.fromEntries(names.map((name) => [name, jpeg]));

test("the fixtures' image folder gives the labels of expected.json, and lists what is left behind", async () => {
  const { root, expected } = imagenetFixtures();
  const source = await openAt(path.join(root, "imagefolder"));
  expect(source.kind).toBe("imagefolder");
  expect(source.classes.map(({ id }) => id)).toEqual(expected.classes.map(({ wnid }) => wnid));
  expect(await baseLabelsOf(source.splits.train)).toEqual(expected.layouts.imagefolder!.train);
  expect(await baseLabelsOf(source.splits.val)).toEqual(expected.layouts.imagefolder!.val);
  expect(source.splits.train.samples).toBe(Object.keys(expected.layouts.imagefolder!.train).length);
  const left = source.left.map(({ source }) => path.posix.basename(source));
  expect(left).toContain(".DS_Store");
  expect(left).toContain("Thumbs.db");
  expect(left.some((name) => name.startsWith("._"))).toBe(true);
  expect(await resumesEverywhere(source.splits.val!)).toBe(true);
});

test("classes and files are in the order of code units, nested folders are of their class", async () => {
  const source = await openAt(folderOf(files("train/b/2.jpg", "train/b/10.jpg", "train/B/x/y/1.JPG", "train/é/1.png")));
  expect(source.classes.map(({ name }) => name)).toEqual(["B", "b", "é"]);
  expect(await labelsOf(source.splits.train)).toEqual({ "B/x/y/1.JPG": 0, "b/10.jpg": 1, "b/2.jpg": 1, "é/1.png": 2 });
  expect(source.splits.val).toBeUndefined();
  expect(await resumesEverywhere(source.splits.train)).toBe(true);
});

test("folders 0 to 10 sort as text, and a notice says so", async () => {
  const names = Array.from({ length: 11 }, (_, i) => `train/${i}/a.jpg`);
  const source = await openAt(folderOf(files(...names)));
  expect(source.classes.map(({ name }) => name).slice(0, 4)).toEqual(["0", "1", "10", "2"]);
  expect(source.notices.join()).toMatch(/folder 10 is class 2/);
});

test("folders of as many digits each need no notice", async () => {
  const source = await openAt(folderOf(files("train/00/a.jpg", "train/01/a.jpg")));
  expect(source.notices).toEqual([]);
});

test("a class of val that train lacks is an error, one that val lacks a notice", async () => {
  const extra = folderOf(files("train/a/1.jpg", "train/b/1.jpg", "val/c/1.jpg"));
  await expect(openAt(extra)).rejects.toThrow(/classes that the training folder lacks, c: labels would not agree/);
  const missing = await openAt(folderOf(files("train/a/1.jpg", "train/b/1.jpg", "valid/b/1.jpg")));
  expect(missing.notices.join()).toMatch(/val split has no pictures of 1 of 2 classes: a/);
  expect(await labelsOf(missing.splits.val)).toEqual({ "b/1.jpg": 1 });
});

test("two folders that may be the validation split are not guessed between", async () => {
  const both = folderOf(files("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "validation/a/1.jpg"));
  await expect(openAt(both)).rejects.toThrow(/val, val\/?.*may each be|may each be the val split/);
});

test("ImageNet-100: train.X1 to train.X4 are one split, names come from Labels.json", async () => {
  const root = folderOf(files("train.X1/n02000000/a.JPEG", "train.X2/n01000000/b.JPEG", "val.X/n01000000/c.JPEG"));
  writeFileSync(path.join(root, "Labels.json"), JSON.stringify({ n01000000: "one", n02000000: "two" }));
  const source = await openAt(root);
  expect(source.classes).toEqual([
    { name: "one", id: "n01000000" },
    { name: "two", id: "n02000000" },
  ]);
  expect(await labelsOf(source.splits.train)).toEqual({ "n02000000/a.JPEG": 1, "n01000000/b.JPEG": 0 });
  expect(await labelsOf(source.splits.val)).toEqual({ "n01000000/c.JPEG": 0 });
  expect(await resumesEverywhere(source.splits.train)).toBe(true);
});

test("classes alone, and a data set one folder further in", async () => {
  const alone = await openAt(folderOf(files("cats/1.jpg", "dogs/1.jpg", "dogs/2.jpg")));
  expect(alone.splits.train.samples).toBe(3);
  const inner = await openAt(folderOf(files("imagenette2/train/n01/1.jpg", "imagenette2/train/n02/1.jpg")));
  expect(inner.splits.train.samples).toBe(2);
});

test("a test split without labels is passed over and told", async () => {
  const source = await openAt(folderOf(files("train/a/1.jpg", "train/b/1.jpg", "test/1.jpg", "test/2.jpg")));
  expect(source.splits.test).toBeUndefined();
  expect(source.notices.join()).toMatch(/test has no folders of classes, so no labels: it is passed over/);
});

test("a link out of the source is not followed and told; one within it is a file", async () => {
  const outside = folderOf(files("secret.jpg"));
  const root = folderOf(files("train/a/1.jpg", "train/b/1.jpg"));
  symlinkSync(path.join(outside, "secret.jpg"), path.join(root, "train/a/2.jpg"));
  symlinkSync(outside, path.join(root, "train/c"));
  symlinkSync(path.join(root, "train/a/1.jpg"), path.join(root, "train/b/3.jpg"));
  symlinkSync(path.join(root, "train"), path.join(root, "train/b/loop"));
  const source = await openAt(root);
  expect(Object.keys(await labelsOf(source.splits.train))).toEqual(["a/1.jpg", "b/1.jpg", "b/3.jpg"]);
  const why = Object.fromEntries(source.left.map((one) => [one.source, one.why]));
  expect(why["train/a/2.jpg"]).toMatch(/link out of the source/);
  expect(why["train/c"]).toMatch(/link out of the source/);
  expect(why["train/b/loop"]).toMatch(/would count twice/);
});

test("pictures beside the folders of classes, and other files, are listed", async () => {
  const root = folderOf(files("train/a/1.jpg", "train/b/1.jpg", "train/stray.jpg"));
  writeFileSync(path.join(root, "train/a/notes.txt"), "x");
  const source = await openAt(root);
  expect(source.left).toContainEqual({ source: "train/stray.jpg", why: "a picture in no folder of a class" });
  expect(source.left).toContainEqual({ source: "train/a/notes.txt", why: "no picture by its name" });
});

test("a sample's content is its file's bytes in memory of its own", async () => {
  const source = await openAt(folderOf(files("train/a/1.jpg", "train/b/1.jpg")));
  for (const { sample } of await itemsOf(source.splits.train)) {
    expect(sample?.content).toEqual(jpeg);
    expect(sample?.content.buffer.byteLength).toBe(jpeg.length);
  }
});

test("a folder of val alone is not trained on, unless it is given itself", async () => {
  const folder = folderOf({ "val/a/1.jpg": "x", "val/b/2.jpg": "y" });
  await expect(openAt(folder)).rejects.toThrow(/has no training folder, only val: give the folder of both, or .*val /);
  expect((await openAt(path.join(folder, "val"))).splits.train.samples).toBe(2);
});
