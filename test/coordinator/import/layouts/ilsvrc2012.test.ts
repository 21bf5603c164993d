// ILSVRC2012's tars and devkit: streamed at both levels, and labelled by the rank of WordNet ids.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { baseLabelsOf, folderOf, itemsOf, openAt, resumesEverywhere } from "./reading.ts";
import { tarOf } from "./tars.ts";

const { root, expected } = imagenetFixtures();
const { train, val } = expected.layouts.ilsvrc2012!;
const TRAIN = "ILSVRC2012_img_train.tar";
const VAL = "ILSVRC2012_img_val.tar";
const DEVKIT = "ILSVRC2012_devkit_t12.tar.gz";
const fixture = (name: string) => readFileSync(path.join(root, "ilsvrc2012", name));

function copy(): string {
  const folder = folderOf();
  cpSync(path.join(root, "ilsvrc2012"), folder, { recursive: true });
  return folder;
}

/** Members of a flat ustar tar. */
function unpack(tar: Buffer): [string, Buffer][] {
  const members: [string, Buffer][] = [];
  for (let at = 0; tar[at] !== 0; ) {
    const size = Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8);
    members.push([tar.toString("latin1", at, at + 100).replace(/\0.*$/s, ""), tar.subarray(at + 512, at + 512 + size)]);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}

describe("labels", () => {
  test("are those of expected.json, from the tars as they are", async () => {
    const source = await openAt(path.join(root, "ilsvrc2012"));
    expect(source.kind).toBe("ilsvrc2012");
    expect(source.why).toContain(`${TRAIN}; ${VAL}; ${DEVKIT}`);
    expect(source.classes).toEqual(expected.classes.map(({ wnid, words }) => ({ id: wnid, name: words })));
    expect(await baseLabelsOf(source.splits.train)).toEqual(train);
    expect(await baseLabelsOf(source.splits.val)).toEqual(val);
    expect(source.splits.val?.samples).toBe(Object.keys(val).length);
  });

  test("of validation are ranks of WordNet ids, which ILSVRC2012_ID taken for an index would not be", async () => {
    const source = await openAt(path.join(root, "ilsvrc2012"));
    const labels = await baseLabelsOf(source.splits.val);
    const byId = new Map(expected.classes.map(({ ilsvrc2012_id, index }) => [ilsvrc2012_id, index]));
    const tar = gunzipSync(fixture(DEVKIT));
    const truth = unpack(tar)
      .find(([name]) => name.endsWith("ground_truth.txt"))![1]
      .toString()
      .trim()
      .split("\n");
    let different = 0;
    for (const [i, id] of truth.map(Number).entries()) {
      const label = labels[`ILSVRC2012_val_${String(i + 1).padStart(8, "0")}.JPEG`];
      expect(label).toBe(byId.get(id));
      if (label !== id - 1 && label !== id) different++;
    }
    expect(different).toBeGreaterThan(truth.length / 2);
  });

  test("are the same where the tars are unpacked by one level or two, and val is sorted or flat", async () => {
    const folder = copy();
    const classTars = unpack(fixture(TRAIN));
    mkdirSync(path.join(folder, "train"));
    rmSync(path.join(folder, TRAIN));
    for (const [name, tar] of classTars) writeFileSync(path.join(folder, "train", name), tar);
    const oneLevel = await openAt(folder);
    expect(await baseLabelsOf(oneLevel.splits.train)).toEqual(train);
    expect(await resumesEverywhere(oneLevel.splits.train)).toBe(true);
    for (const [name, tar] of classTars) {
      const classFolder = path.join(folder, "train", name.replace(".tar", ""));
      mkdirSync(classFolder);
      for (const [picture, content] of unpack(tar)) writeFileSync(path.join(classFolder, picture), content);
    }
    rmSync(path.join(folder, VAL));
    mkdirSync(path.join(folder, "val"));
    for (const [name, content] of unpack(fixture(VAL))) writeFileSync(path.join(folder, "val", name), content);
    const twoLevels = await openAt(folder);
    expect(twoLevels.kind).toBe("ilsvrc2012");
    expect(await baseLabelsOf(twoLevels.splits.train)).toEqual(train);
    expect(await baseLabelsOf(twoLevels.splits.val)).toEqual(val);
    for (const [name, label] of Object.entries(val)) {
      const sorted = path.join(folder, "val", expected.classes[label].wnid);
      mkdirSync(sorted, { recursive: true });
      renameSync(path.join(folder, "val", name), path.join(sorted, name));
    }
    rmSync(path.join(folder, DEVKIT));
    writeFileSync(path.join(folder, "ILSVRC2012_devkit_t12.tar"), gunzipSync(fixture(DEVKIT)));
    const sorted = await openAt(folder);
    expect(await baseLabelsOf(sorted.splits.val)).toEqual(val);
  });

  test("come from an unpacked devkit too, and from a folder above", async () => {
    const folder = copy();
    const above = folderOf();
    renameSync(folder, path.join(above, "imagenet"));
    const inner = path.join(above, "imagenet");
    mkdirSync(path.join(inner, "ILSVRC2012_devkit_t12/data"), { recursive: true });
    for (const [name, content] of unpack(gunzipSync(fixture(DEVKIT)))) {
      if (name.includes("/data/")) writeFileSync(path.join(inner, name), content);
    }
    rmSync(path.join(inner, DEVKIT));
    const source = await openAt(above);
    expect(await baseLabelsOf(source.splits.val)).toEqual(val);
  });
});

test("archives that lie in a folder each, as torrents have them, are of each other", async () => {
  const folder = copy();
  for (const [inner, name] of [
    ["ILSVRC2012_img_train", TRAIN],
    ["ILSVRC2012_img_val", VAL],
    ["devkit", DEVKIT],
  ]) {
    mkdirSync(path.join(folder, inner));
    renameSync(path.join(folder, name), path.join(folder, inner, name));
  }
  const source = await openAt(folder);
  expect(await baseLabelsOf(source.splits.train)).toEqual(train);
  expect(await baseLabelsOf(source.splits.val)).toEqual(val);
});

test("a folder of class tars alone, as ImageNet-21k has them, is a source", async () => {
  const ids = ["n00000003", "n00000001", "n00000002"];
  const tars = await Promise.all(ids.map(async (id) => [`${id}.tar`, await tarOf({ [`${id}_1.JPEG`]: id })] as const));
  const source = await openAt(folderOf(Object.fromEntries(tars)));
  expect(source.classes.map(({ id }) => id)).toEqual([...ids].sort());
  expect(await baseLabelsOf(source.splits.train)).toEqual({
    "n00000001_1.JPEG": 0,
    "n00000002_1.JPEG": 1,
    "n00000003_1.JPEG": 2,
  });
});

test("reading goes on behind any sample, in tars in a tar too", async () => {
  const source = await openAt(path.join(root, "ilsvrc2012"));
  expect(await resumesEverywhere(source.splits.train)).toBe(true);
  expect(await resumesEverywhere(source.splits.val!)).toBe(true);
  const items = await itemsOf(source.splits.train);
  expect(items.at(-1)!.bytesRead).toBeLessThanOrEqual(source.splits.train.bytes);
});

test("a val tar without the devkit names the file and where it comes from", async () => {
  const folder = copy();
  rmSync(path.join(folder, DEVKIT));
  await expect(openAt(folder)).rejects.toThrow(/put ILSVRC2012_devkit_t12\.tar\.gz beside it \(from image-net\.org/);
});

test("train alone is a source, and that there is no val is told; val alone is none", async () => {
  const folder = copy();
  rmSync(path.join(folder, VAL));
  rmSync(path.join(folder, DEVKIT));
  const source = await openAt(folder);
  expect(source.splits.val).toBeUndefined();
  expect(source.notices.join()).toMatch(/no validation pictures \(ILSVRC2012_img_val\.tar is not there\)/);
  expect(source.classes.map(({ id }) => id)).toEqual(expected.classes.map(({ wnid }) => wnid));
  const single = await openAt(path.join(folder, TRAIN));
  expect(single.notices.join()).toMatch(/only this file was given/);
  const other = copy();
  rmSync(path.join(other, TRAIN));
  await expect(openAt(other)).rejects.toThrow(/has no training pictures: put ILSVRC2012_img_train\.tar beside/);
});

describe("damage", () => {
  test.each([TRAIN, VAL])("%s that is cut off is refused", async (name) => {
    const folder = copy();
    const whole = fixture(name);
    writeFileSync(path.join(folder, name), whole.subarray(0, Math.floor(whole.length * 0.6)));
    await expect(openAt(folder)).rejects.toThrow(/cut off: .* at byte \d+; get the file again/);
  });

  test("a class tar that is cut off within a whole train tar is refused where it ends", async () => {
    const folder = copy();
    const [[name, tar], ...others] = unpack(fixture(TRAIN));
    const members: [string, Buffer][] = [[name, tar.subarray(0, 700)], ...others];
    writeFileSync(path.join(folder, TRAIN), await tarOf(members));
    const source = await openAt(folder);
    await expect(itemsOf(source.splits.train)).rejects.toThrow(/img_train\.tar: n\d{8}\.tar: the archive is cut off/);
  });

  test("a devkit that is half written, or has 0 bytes", async () => {
    const folder = copy();
    writeFileSync(path.join(folder, DEVKIT), fixture(DEVKIT).subarray(0, 300));
    await expect(openAt(folder)).rejects.toThrow(/devkit_t12\.tar\.gz: ends in the middle of its gzip stream/);
    writeFileSync(path.join(folder, DEVKIT), "");
    await expect(openAt(folder)).rejects.toThrow(/has 0 bytes/);
  });

  test("a wrong MD5 beside a file is found before a sample is read, a right one passes", async () => {
    for (const name of [TRAIN, VAL, DEVKIT]) {
      const folder = copy();
      writeFileSync(path.join(folder, `${name}.md5`), `${"0".repeat(32)}  ${name}\n`);
      await expect(openAt(folder)).rejects.toThrow(
        /has MD5 [0-9a-f]{32}; by .*\.md5 it has 0{32}: the copy is damaged/,
      );
      const right = createHash("md5").update(fixture(name)).digest("hex");
      writeFileSync(path.join(folder, `${name}.md5`), right);
      await openAt(folder);
      rmSync(path.join(folder, `${name}.md5`));
      writeFileSync(path.join(folder, "MD5SUMS"), `${right} *other\n${"1".repeat(32)}  ./${name}\n`);
      await expect(openAt(folder)).rejects.toThrow(/by MD5SUMS it has 1{32}/);
    }
  });

  const withTruth = async (change: (lines: string[]) => string[]) => {
    const folder = copy();
    const members = unpack(gunzipSync(fixture(DEVKIT))).map(([name, content]): [string, Buffer] => [
      name,
      name.endsWith("ground_truth.txt")
        ? Buffer.from(`${change(content.toString().trim().split("\n")).join("\n")}\n`)
        : content,
    ]);
    writeFileSync(path.join(folder, DEVKIT), gzipSync(await tarOf(members)));
    return folder;
  };

  test("a ground truth with a number out of range, or of another length than val", async () => {
    const wrong = await withTruth(([, ...rest]) => ["11", ...rest]);
    await expect(openAt(wrong)).rejects.toThrow(/ground_truth\.txt: line 1 is "11"; the devkit's classes are 1 to 10/);
    const short = await withTruth((lines) => lines.slice(1));
    await expect(openAt(short)).rejects.toThrow(/val_0+(\d+)\.JPEG: the ground truth has 1 to \d+; is it/);
    const long = await withTruth((lines) => [...lines, "1"]);
    await expect(openAt(long)).rejects.toThrow(
      /has (\d+) pictures, the devkit's ground truth (\d+) lines \(number \2 is missing/,
    );
  });

  test("a picture that lies in the tar of another class is a reject", async () => {
    const folder = copy();
    const inner = await tarOf({
      "n01440764_1.JPEG": "x",
      "n01443537_2.JPEG": "y",
      "._n01440764_1.JPEG": "mac",
      "a.txt": "",
    });
    const others = unpack(fixture(TRAIN)).filter(([name]) => name !== "n01440764.tar");
    writeFileSync(path.join(folder, TRAIN), await tarOf([["n01440764.tar", inner], ...others]));
    const items = await itemsOf((await openAt(folder)).splits.train);
    const rejects = items.flatMap(({ reject }) => reject ?? []);
    expect(rejects).toEqual([
      {
        source: "ILSVRC2012_img_train.tar: n01440764.tar: n01443537_2.JPEG",
        why: "its name says n01443537, and it lies in n01440764.tar",
      },
      { source: "ILSVRC2012_img_train.tar: n01440764.tar: a.txt", why: "no picture by its name" },
    ]);
  });

  test("a train tar with other members than class tars, and classes that the devkit lacks", async () => {
    const folder = copy();
    writeFileSync(path.join(folder, TRAIN), await tarOf({ "n01440764.tar": "", "readme.txt": "x" }));
    await expect(openAt(folder)).rejects.toThrow(
      /member readme\.txt at byte \d+ is not expected; it holds a tar for each/,
    );
    writeFileSync(path.join(folder, TRAIN), await tarOf({ "n01440764.tar": "", "n99999999.tar": "" }));
    await expect(openAt(folder)).rejects.toThrow(/classes that the devkit lacks, n99999999/);
  });
});
