// Sources of pixels: CIFAR's binary files and pickles, unpacked and in their archives; MNIST's kind.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { SourceSplit } from "../../../../coordinator/import/layouts/layout.ts";
import { idxBytes, imageBytes, labelBytes, qmnistLabelBytes, writeIdx } from "../../../fixtures/idx-files.ts";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { folderOf, itemsOf, openAt, resumesEverywhere } from "./reading.ts";
import { tarOf } from "./tars.ts";

const { root, expected } = imagenetFixtures();

/** Labels of a batch, and the hash of its pixels as planes. */
async function batchOf(split: SourceSplit | undefined, batch: string) {
  const samples = (await itemsOf(split)).flatMap(({ sample }) =>
    sample?.name.split("#")[0].replace(".bin", "") === batch ? [sample] : [],
  );
  const hash = createHash("sha256");
  for (const { content } of samples) {
    const planes = Uint8Array.from({ length: 3072 }, (_, at) => content[(at % 1024) * 3 + Math.floor(at / 1024)]);
    hash.update(planes);
  }
  return { labels: samples.map(({ label }) => label), sha256: hash.digest("hex") };
}

async function archiveOf(folder: string, name: string): Promise<Buffer> {
  const files = readdirSync(path.join(root, folder)).map((file): [string, Buffer] => [
    `${name}/${file}`,
    readFileSync(path.join(root, folder, file)),
  ]);
  return gzipSync(await tarOf(files));
}

describe("cifar", () => {
  const tens = ["cifar-10-batches-bin", "cifar-10-batches-py"];
  const hundreds = ["cifar-100-binary", "cifar-100-python"];

  test.each(tens)("%s has the labels and pixels of expected.json", async (folder) => {
    const source = await openAt(path.join(root, folder));
    expect([source.kind, source.media, source.shape]).toEqual(["cifar", "pixels", { h: 32, w: 32, c: 3 }]);
    expect(source.classes.map(({ name }) => name)).toEqual(expected.classes.map(({ words }) => words));
    for (const [batch, wanted] of Object.entries(expected.cifar10)) {
      const split = batch === "test_batch" ? source.splits.test : source.splits.train;
      expect(await batchOf(split, batch)).toEqual(wanted);
    }
    expect(await resumesEverywhere(source.splits.train)).toBe(true);
  });

  test.each(hundreds)("%s has fine labels, and coarse ones where they are asked for", async (folder) => {
    for (const labels of ["fine", "coarse"] as const) {
      const source = await openAt(path.join(root, folder), { labels });
      expect(source.classes[3].name).toBe(`${labels}_03`);
      expect(source.classes).toHaveLength(labels === "fine" ? 100 : 20);
      for (const [batch, wanted] of Object.entries(expected.cifar100)) {
        const { labels: got, sha256 } = await batchOf(source.splits[batch as "train" | "test"], batch);
        expect({ got, sha256 }).toEqual({ got: wanted[labels], sha256: wanted.sha256 });
      }
    }
    const unasked = await openAt(path.join(root, folder));
    expect(unasked.classes).toHaveLength(100);
  });

  test.each([
    ["cifar-10-batches-bin", "cifar-10-binary.tar.gz"],
    ["cifar-10-batches-py", "cifar-10-python.tar.gz"],
    ["cifar-100-python", "cifar-100-python.tar.gz"],
  ])("%s is read in its archive, by the file or its folder", async (folder, archive) => {
    const place = folderOf({ [archive]: await archiveOf(folder, folder) });
    const unpacked = await itemsOf((await openAt(path.join(root, folder))).splits.train);
    for (const given of [place, path.join(place, archive)]) {
      const source = await openAt(given);
      const items = await itemsOf(source.splits.train);
      expect(items.map(({ sample }) => sample)).toEqual(unpacked.map(({ sample }) => sample));
      expect(await resumesEverywhere(source.splits.test!)).toBe(true);
    }
  });

  test("records that are cut off, labels out of range, batches that are missing, 0 bytes", async () => {
    const folder = folderOf();
    cpSync(path.join(root, "cifar-10-batches-bin"), folder, { recursive: true });
    const batch = path.join(folder, "data_batch_2.bin");
    const whole = readFileSync(batch);
    truncateSync(batch, whole.length - 100);
    await expect(openAt(folder)).rejects.toThrow(
      /data_batch_2\.bin: has \d+ bytes, expected one or more whole records of 3073/,
    );
    truncateSync(batch, 0);
    await expect(openAt(folder)).rejects.toThrow(/data_batch_2\.bin: has 0 bytes/);
    whole[3073] = 10;
    writeFileSync(batch, whole);
    const { splits } = await openAt(folder);
    await expect(itemsOf(splits.train)).rejects.toThrow(/label of record 1 is 10; CIFAR-10 has 0 to 9/);
    rmSync(batch);
    await expect(openAt(folder)).rejects.toThrow(/has no data_batch_2\.bin: unpack CIFAR-10 again/);
  });

  test("a pickle that names a program is refused, and so is an archive that is cut off", async () => {
    const folder = folderOf();
    cpSync(path.join(root, "cifar-10-batches-py"), folder, { recursive: true });
    writeFileSync(path.join(folder, "data_batch_1"), "\x80\x02cos\nsystem\nU\x02ls\x85R.", "latin1");
    const { splits } = await openAt(folder);
    await expect(itemsOf(splits.train)).rejects.toThrow(/os\.system is named, which is not known/);
    const archive = await archiveOf("cifar-10-batches-bin", "cifar-10-batches-bin");
    const place = folderOf({ "cifar-10-binary.tar.gz": archive.subarray(0, archive.length >> 1) });
    await expect(openAt(place)).rejects.toThrow(/middle of its gzip stream/);
  });

  test("two data sets in one folder are not guessed between", async () => {
    const folder = folderOf();
    mkdirSync(path.join(folder, "a"));
    for (const name of ["cifar-10-batches-bin", "cifar-100-binary"])
      cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
    await expect(openAt(folder)).rejects.toThrow(/several data sets, cifar-10-batches-bin, cifar-100-binary: give one/);
  });
});

describe("mnist", () => {
  const names = (folder: string) => readdirSync(folder).sort();

  test.each([
    ["packed", true, "-"],
    ["unpacked", false, "-"],
    ["unpacked, with dots", false, "."],
  ])("files that are %s", async (_, packed, mark) => {
    const folder = folderOf();
    const named = (name: string) => name.replace("-idx", `${mark}idx`) + (packed ? ".gz" : "");
    await writeIdx(folder, {}, { packed, named });
    const source = await openAt(folder);
    expect([source.kind, source.shape]).toEqual(["mnist", { h: 28, w: 28, c: 1 }]);
    expect(source.classes.map(({ name }) => name)).toEqual(["0", "1", "2"]);
    const items = await itemsOf(source.splits.train);
    expect(items.map(({ sample }) => sample?.label)).toEqual(Array.from({ length: 40 }, (_, i) => i % 3));
    const pixels = Buffer.concat(items.map(({ sample }) => sample!.content));
    expect(pixels).toEqual(imageBytes(40, 28, 28).subarray(16));
    expect(items[2].sample?.name).toBe(`${names(folder).find((name) => name.startsWith("train-images"))}#2`);
    expect(source.splits.test?.samples).toBe(10);
    expect(await resumesEverywhere(source.splits.test!)).toBe(true);
  });

  test("QMNIST's labels are the first of eight columns, torchvision's folder is found", async () => {
    const files = {
      "QMNIST/raw/qmnist-train-images-idx3-ubyte.gz": gzipSync(imageBytes(6, 4, 4)),
      "QMNIST/raw/qmnist-train-labels-idx2-int.gz": gzipSync(qmnistLabelBytes(6)),
    };
    const source = await openAt(folderOf(files));
    const items = await itemsOf(source.splits.train);
    expect(items.map(({ sample }) => sample?.label)).toEqual([0, 1, 2, 0, 1, 2]);
  });

  test("EMNIST's pictures are turned, its letters count from 0 then, and of its sets one is to be chosen", async () => {
    const pixels = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]);
    const letters = {
      "emnist-letters-train-images-idx3-ubyte": idxBytes(0x803, [2, 2, 3], pixels),
      "emnist-letters-train-labels-idx1-ubyte": idxBytes(0x801, [2], Uint8Array.from([1, 2])),
      "emnist-letters-mapping.txt": "1 65 97\n2 66 98\n",
    };
    const source = await openAt(folderOf(letters));
    expect(source.classes).toEqual([{ name: "A" }, { name: "B" }]);
    expect(source.shape).toEqual({ h: 3, w: 2, c: 1 });
    const [first, second] = await itemsOf(source.splits.train);
    expect([...first.sample!.content]).toEqual([1, 4, 2, 5, 3, 6]);
    expect(second.sample?.label).toBe(1);
    expect(source.notices.join()).toMatch(/on their side.*count from 1/);
    const two = folderOf({
      ...letters,
      "emnist-digits-train-images-idx3-ubyte": imageBytes(3, 2, 2),
      "emnist-digits-train-labels-idx1-ubyte": labelBytes(3),
    });
    await expect(openAt(two)).rejects.toThrow(
      /several sets, emnist-letters-, emnist-digits-|emnist-digits-, emnist-letters-/,
    );
    const chosen = await openAt(path.join(two, "emnist-digits-train-images-idx3-ubyte"));
    expect(chosen.classes).toHaveLength(3);
  });

  test("files that are cut off, do not fit together, or are something else", async () => {
    const folder = folderOf();
    await writeIdx(folder, {}, { packed: false, named: (name) => name });
    const images = path.join(folder, "train-images-idx3-ubyte");
    const whole = readFileSync(images);
    writeFileSync(images, whole.subarray(0, 1000));
    await expect(openAt(folder)).rejects.toThrow(/40 pictures of 28×28×1 take 31376 bytes; it has 1000/);
    const packed = gzipSync(whole);
    writeFileSync(images, packed.subarray(0, packed.length - 20));
    const { splits } = await openAt(folder);
    await expect(itemsOf(splits.train)).rejects.toThrow(/middle of its gzip stream/);
    writeFileSync(images, gzipSync(whole.subarray(0, 20_000)));
    const short = await openAt(folder);
    await expect(itemsOf(short.splits.train)).rejects.toThrow(/ends in picture 25 of 40/);
    writeFileSync(images, imageBytes(39, 28, 28));
    await expect(openAt(folder)).rejects.toThrow(/has 40 labels, and train-images-idx3-ubyte 39 pictures/);
    writeFileSync(images, idxBytes(0x803, [1, 5000, 5000], new Uint8Array()));
    await expect(openAt(folder)).rejects.toThrow(/5000×5000×1; the limits are 4096/);
    renameSync(path.join(folder, "train-labels-idx1-ubyte"), path.join(folder, "labels"));
    await expect(openAt(folder)).rejects.toThrow(/is there without its labels/);
  });
});
