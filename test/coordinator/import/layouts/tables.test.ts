// Layouts whose validation labels stand in a table, and the one whose names end in them: Kaggle's, tiny-imagenet's,
// Hugging Face's older tars.

import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { baseLabelsOf, folderOf, itemsOf, labelsOf, openAt, resumesEverywhere } from "./reading.ts";

const { root, expected } = imagenetFixtures();

function copyOf(layout: string): string {
  const folder = folderOf();
  cpSync(path.join(root, layout), folder, { recursive: true });
  return folder;
}

const classes = expected.classes.map(({ wnid, words }) => ({ id: wnid, name: words }));

describe("kaggle", () => {
  const { train, val } = expected.layouts.kaggle!;

  test.each([
    "",
    "ILSVRC",
    "ILSVRC/Data",
    "ILSVRC/Data/CLS-LOC",
    "ILSVRC/Data/CLS-LOC/train",
    "ILSVRC/Data/CLS-LOC/val",
  ])("the labels are those of expected.json, given %s", async (inner) => {
    const source = await openAt(path.join(root, "kaggle", inner));
    expect(source.kind).toBe("kaggle");
    expect(source.classes).toEqual(classes);
    expect(await baseLabelsOf(source.splits.train)).toEqual(train);
    expect(await baseLabelsOf(source.splits.val)).toEqual(val);
  });

  test("a folder above, a test split that is passed over, and reading on", async () => {
    const above = folderOf();
    renameSync(copyOf("kaggle"), path.join(above, "imagenet-object-localization-challenge"));
    mkdirSync(path.join(above, "imagenet-object-localization-challenge/ILSVRC/Data/CLS-LOC/test"));
    const source = await openAt(above);
    expect(await baseLabelsOf(source.splits.val)).toEqual(val);
    expect(source.notices.join()).toMatch(/passed over: test, whose pictures have no labels/);
    expect(await resumesEverywhere(source.splits.val!)).toBe(true);
  });

  test("without the solution val has no labels, and what is missing is named", async () => {
    const folder = copyOf("kaggle");
    rmSync(path.join(folder, "LOC_val_solution.csv"));
    await expect(openAt(folder)).rejects.toThrow(/put Kaggle's LOC_val_solution\.csv beside the folder ILSVRC/);
  });

  test("lines that are none, that stand twice, or that have no picture", async () => {
    const folder = copyOf("kaggle");
    const file = path.join(folder, "LOC_val_solution.csv");
    const text = readFileSync(file, "utf8");
    const lines = text.trim().split("\n");
    writeFileSync(file, `${text}nonsense\n`);
    await expect(openAt(folder)).rejects.toThrow(
      new RegExp(`line ${lines.length + 1} is "nonsense"; expected ImageId`),
    );
    writeFileSync(file, `${text}${lines[1]}\n`);
    await expect(openAt(folder)).rejects.toThrow(/expected an ImageId that is not yet there/);
    writeFileSync(file, `${text}ILSVRC2012_val_99999999,n99999999 1 1 2 2\n`);
    await expect(openAt(folder)).rejects.toThrow(/expected an id of the training set's classes/);
    writeFileSync(file, `${text}ILSVRC2012_val_99999999,n01440764 1 1 2 2\n`);
    await expect(openAt(folder)).rejects.toThrow(
      /not the 1 pictures that LOC_val_solution\.csv has labels of: ILSVRC2012_val_9/,
    );
    writeFileSync(file, `${lines.slice(0, -1).join("\r\n")}\r\n`);
    await expect(openAt(folder)).rejects.toThrow(/1 pictures that LOC_val_solution\.csv has no label of/);
  });

  test("a class that the names lack is an error, one that has no pictures a notice", async () => {
    const folder = copyOf("kaggle");
    const file = path.join(folder, "LOC_synset_mapping.txt");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, `${text}n99999999 nothing, none\n`);
    const source = await openAt(folder);
    expect(source.notices.join()).toMatch(/no training pictures of 1 of \d+ classes: n99999999/);
    writeFileSync(file, text.split("\n").slice(1).join("\n"));
    await expect(openAt(folder)).rejects.toThrow(/folders that are none of the \d+ classes, n01440764/);
  });
});

describe("tiny-imagenet", () => {
  const tiny = "tiny-imagenet-200";
  const { train, val } = expected.layouts[tiny]!;

  test("labels are ranks of sorted ids although wnids.txt is not sorted", async () => {
    const ids = readFileSync(path.join(root, tiny, "wnids.txt"), "utf8")
      .trim()
      .split("\n");
    expect(ids).not.toEqual([...ids].sort());
    for (const given of [path.join(root, tiny)]) {
      const source = await openAt(given);
      expect(source.kind).toBe("tiny-imagenet");
      expect(source.classes).toEqual(classes);
      expect(await baseLabelsOf(source.splits.train)).toEqual(train);
      expect(await baseLabelsOf(source.splits.val)).toEqual(val);
      expect(source.notices.join()).toMatch(/passed over: test/);
      expect(await resumesEverywhere(source.splits.train)).toBe(true);
    }
  });

  test("a folder above, and val sorted into folders", async () => {
    const above = folderOf();
    renameSync(copyOf(tiny), path.join(above, tiny));
    for (const [name, label] of Object.entries(val)) {
      const sorted = path.join(above, tiny, "val", expected.classes[label].wnid);
      mkdirSync(sorted, { recursive: true });
      renameSync(path.join(above, tiny, "val/images", name), path.join(sorted, name));
    }
    rmSync(path.join(above, tiny, "val/images"), { recursive: true });
    expect(await baseLabelsOf((await openAt(above)).splits.val)).toEqual(val);
  });

  test("a table that is missing, or names an id that is none", async () => {
    const folder = copyOf(tiny);
    const file = path.join(folder, "val/val_annotations.txt");
    writeFileSync(file, readFileSync(file, "utf8").replace(/n\d{8}/, "n99999999"));
    await expect(openAt(folder)).rejects.toThrow(
      /val_annotations\.txt: line 1 is .*expected a picture that is not yet there/,
    );
    rmSync(file);
    await expect(openAt(folder)).rejects.toThrow(/has no val_annotations\.txt, so no labels/);
  });
});

describe("huggingface-tar", () => {
  const { train, val } = expected.layouts["huggingface-tar"]!;

  test("the class stands at the end of a name, and classes are in the order of their ids", async () => {
    for (const given of ["huggingface-tar", "huggingface-tar/data"]) {
      const source = await openAt(path.join(root, given));
      expect(source.kind).toBe("huggingface-tar");
      expect(source.classes.map(({ id }) => id)).toEqual(expected.classes.map(({ wnid }) => wnid));
      expect(await labelsOf(source.splits.train)).toEqual(train);
      expect(await labelsOf(source.splits.val)).toEqual(val);
    }
  });

  test("reading goes on behind any sample", async () => {
    const { splits } = await openAt(path.join(root, "huggingface-tar"));
    const whole = (await itemsOf(splits.train)).map(({ sample, cursor }) => [sample?.name, cursor]);
    for (const [i, [, cursor]] of whole.entries()) {
      const rest = (await itemsOf(splits.train, cursor)).map((item) => [item.sample?.name, item.cursor]);
      expect(rest).toEqual(whole.slice(i + 1));
    }
  });

  test("a half-written archive is refused, a name without a class a reject, names come from classes.py", async () => {
    const folder = copyOf("huggingface-tar");
    const file = path.join(folder, "data/train_images_0.tar.gz");
    const whole = readFileSync(file);
    writeFileSync(file, whole.subarray(0, whole.length >> 1));
    await expect(openAt(folder)).rejects.toThrow(/train_images_0\.tar\.gz: ends in the middle of its gzip stream/);
    const tar = gunzipSync(whole);
    tar.write("x".repeat(20), 0, "latin1");
    tar.fill(" ", 148, 156);
    const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    tar[20] = 46;
    writeFileSync(file, tar);
    writeFileSync(path.join(folder, "classes.py"), `IMAGENET2012_CLASSES = OrderedDict({"n01440764": "tench, Tinca"})`);
    await expect(openAt(folder)).rejects.toThrow(/damaged/);
    rmSync(file);
    const source = await openAt(folder);
    expect(source.classes[0]).toEqual({ id: "n01440764", name: "tench, Tinca" });
  });
});
