// What a person is told of a source before anything is read.

import { expect, test } from "vitest";
import { expandBraces, MOST_SHARDS } from "../../../../coordinator/import/layouts/braces.ts";
import { folderOf, openAt } from "./reading.ts";

test("a folder of no layout says what was seen, and lists the layouts that there are", async () => {
  const root = folderOf({ "readme.txt": "x", "a/b.csv": "x" });
  await expect(openAt(root)).rejects.toThrow(/none of the layouts .*in it are a\/, readme\.txt.*imagefolder: train/s);
  await expect(openAt(folderOf())).rejects.toThrow(/there is nothing in it/);
});

test("what is still packed is to be unpacked, pictures without folders of classes are told", async () => {
  const packed = folderOf({ "tiny-imagenet-200.zip": "PK\x03\x04" });
  await expect(openAt(packed)).rejects.toThrow(
    /in it is tiny-imagenet-200\.zip; unpack tiny-imagenet-200\.zip, and give/,
  );
  await expect(openAt(`${packed}/tiny-imagenet-200.zip`)).rejects.toThrow(
    /a zip archive; unpack tiny-imagenet-200\.zip/,
  );
  await expect(openAt(folderOf({ "1.jpg": "", "2.jpg": "" }))).rejects.toThrow(
    /not in a folder for each class: give the/,
  );
});

test("what is not there is DATA_MISSING, a layout that is none names those that are", async () => {
  await expect(openAt("/nowhere/at/all")).rejects.toThrow(/nowhere\/at\/all is not there/);
  await expect(openAt(folderOf(), { layout: "imagefoldr" })).rejects.toThrow(/did you mean imagefolder/);
});

test("a layout that was chosen and does not fit says which files it wants", async () => {
  await expect(openAt(folderOf({ "x.txt": "" }), { layout: "imagefolder" })).rejects.toThrow(
    /is not of layout imagefolder \(train\/CLASS/,
  );
});

test("TFRecords are told by their name, with what to do", async () => {
  const root = folderOf({ "train-00000-of-01024": "x", "validation-00000-of-00128": "x" });
  await expect(openAt(root)).rejects.toThrow(/train-00000-of-01024 is a TFRecord, which is not read: give what/);
  await expect(openAt(folderOf({ "a/imagenet.tfrecord": "" }))).rejects.toThrow(/TFRecord/);
});

test("braces count with as many digits as were written", () => {
  expect(expandBraces("t-{0008..0011}.tar")).toEqual(["t-0008.tar", "t-0009.tar", "t-0010.tar", "t-0011.tar"]);
  expect(expandBraces("t-{8..10}.tar")).toEqual(["t-8.tar", "t-9.tar", "t-10.tar"]);
  expect(expandBraces("{train,val}-{0..1}.tar")).toEqual(["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]);
  expect(expandBraces("train.tar")).toBeUndefined();
  expect(() => expandBraces(`t-{0..${MOST_SHARDS}}.tar`)).toThrow(/the limit is 65536/);
});
