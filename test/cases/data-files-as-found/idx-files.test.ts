// MNIST-like files as earlier projects, unpackers and download scripts left them: read where they can be, named as what
// they are where they cannot, and never to be removed by their owner.

import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { openDataset } from "../../../coordinator/data/open-dataset.ts";
import { labelOf, readShard } from "../../../shared/data/shard-layout.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { idxBytes, idxContents, imageBytes, labelBytes, qmnistLabelBytes, writeIdx } from "../../fixtures/idx-files.ts";
import { shardBytesOf } from "../../fixtures/shard-bytes.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const options = (fields: Record<string, unknown>) => parseConfig({ data: { kind: "idx", ...fields } }).data;
const open = (root: string, fields: Record<string, unknown> = {}) => openDataset(options({ root, ...fields }), {});

async function refusal(root: string, fields: Record<string, unknown> = {}): Promise<string> {
  const before = await readdir(root).catch(() => []);
  const error = await open(root, fields).then(
    () => new Error("it was read"),
    (cause: Error & { code?: string }) => cause,
  );
  // Whoever follows a message must not lose his data by it.
  expect(error.message).not.toMatch(/remove|delete|setup` again/);
  expect(await readdir(root).catch(() => [])).toEqual(before);
  return `${(error as { code?: string }).code}: ${error.message}`;
}

const plain = { named: (name: string) => name, packed: false };

describe("files are read", () => {
  test.each([
    ["packed, as the public homes have them", { named: (name: string) => `${name}.gz`, packed: true }],
    ["unpacked, as torchvision leaves them", plain],
    [
      "unpacked, as 7-Zip and Kaggle name them",
      { named: (name: string) => name.replace("-idx", ".idx"), packed: false },
    ],
    ["packed, with a dot", { named: (name: string) => `${name.replace("-idx", ".idx")}.gz`, packed: true }],
    ["unpacked, with .gz still in their names", { named: (name: string) => `${name}.gz`, packed: false }],
    ["packed, with .gz lost from their names", { named: (name: string) => name, packed: true }],
    ["in capitals", { named: (name: string) => name.toUpperCase(), packed: false }],
  ])("%s", async (_, how) => {
    const root = await scratchFolder();
    await writeIdx(root, {}, how);
    const opened = await open(root);
    expect(opened.dataset).toMatchObject({ shape: { h: 28, w: 28, c: 1 }, classes: 3 });
    const [{ sha256, samples }] = opened.dataset.train.shards;
    const { content, target } = readShard(opened.dataset, await shardBytesOf(opened, sha256), samples, "it")(39);
    expect([content[0], content[783], labelOf(target)]).toEqual([(39 * 784 * 7) % 256, ((40 * 784 - 1) * 7) % 256, 0]);
  });

  test.each(["raw", "MNIST/raw"])("in %s of the folder that torchvision was given", async (inner) => {
    const root = await scratchFolder();
    await writeIdx(join(root, inner), {}, plain);
    expect((await open(root)).dataset.train.samples).toBe(40);
  });

  test("QMNIST's labels, of which the first column is the class", async () => {
    const root = await scratchFolder();
    await writeIdx(root, { trainLabels: qmnistLabelBytes(40), testLabels: qmnistLabelBytes(10) });
    const opened = await open(root);
    expect(opened.dataset.classes).toBe(3);
    const [{ sha256, samples }] = opened.dataset.train.shards;
    const row = readShard(opened.dataset, await shardBytesOf(opened, sha256), samples, "it");
    expect([0, 1, 2, 3, 38].map((i) => labelOf(row(i).target))).toEqual([0, 1, 2, 0, 2]);
  });

  test("QMNIST by its own file names", async () => {
    const root = await scratchFolder();
    const named = (name: string) =>
      `qmnist-${name.replace("t10k", "test").replace("labels-idx1-ubyte", "labels-idx2-int")}.gz`;
    await writeIdx(
      root,
      { trainLabels: qmnistLabelBytes(40), testLabels: qmnistLabelBytes(10) },
      { named, packed: true },
    );
    expect((await open(root)).dataset.classes).toBe(3);
  });

  test("colour, channels last", async () => {
    const root = await scratchFolder();
    await writeIdx(root, { trainImages: imageBytes(40, 6, 5, 3), testImages: imageBytes(10, 6, 5, 3) });
    const opened = await open(root);
    expect(opened.dataset).toMatchObject({ shape: { h: 6, w: 5, c: 3 } });
    expect(opened.dataset.mean).toHaveLength(3);
    const [{ sha256, samples }] = opened.dataset.train.shards;
    const { content } = readShard(opened.dataset, await shardBytesOf(opened, sha256), samples, "it")(1);
    expect([...content.subarray(0, 4)]).toEqual([630, 637, 644, 651].map((v) => v % 256));
  });

  test("more than one read from the disk holds, in order", async () => {
    const root = await scratchFolder();
    const n = 3000;
    await writeIdx(root, { trainImages: imageBytes(n, 28, 28), trainLabels: labelBytes(n) }, plain);
    const opened = await open(root);
    const [, { sha256, samples }] = opened.dataset.train.shards;
    const { content } = readShard(opened.dataset, await shardBytesOf(opened, sha256), samples, "it")(samples - 1);
    expect(content[0]).toBe(((n - 1) * 784 * 7) % 256);
  });
});

describe("what is no such file is named as what it is", () => {
  test.each([
    [
      "a web page",
      Buffer.from("<!DOCTYPE html><html><body>404</body></html>"),
      /is a web page \(HTML\); expected images/,
    ],
    ["a web page with spaces before it", Buffer.from("\n\n <html><head>"), /is a web page/],
    ["a packed web page", gzipSync("<html>not found</html>"), /unpacks to a web page/],
    ["a web page of XML", Buffer.from('<?xml version="1.0"?><Error>AccessDenied</Error>'), /is XML/],
    [
      "a Git LFS pointer",
      Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
      /Git LFS/,
    ],
    ["a zip", Buffer.from("PK\x03\x04\x14\x00\x00\x00\x00\x00", "latin1"), /is a zip archive/],
    ["a NumPy array", Buffer.from("\x93NUMPY\x01\x00", "latin1"), /is a NumPy array/],
    ["an empty file", Buffer.alloc(0), /is empty; expected images, 0x00000803/],
    ["a packed nothing", gzipSync(""), /is empty/],
    ["a text", Buffer.from("hello"), /begins with 0x68656c6c, which is neither gzip nor IDX/],
    ["floats", idxBytes(0xd03, [40, 28, 28], new Uint8Array(16)), /0x00000d03, f32 with 3 axes; expected images/],
    ["flat images", idxBytes(0x802, [40, 784], new Uint8Array(16)), /0x00000802, u8 with 2 axes; expected images/],
    ["labels", labelBytes(40), /u8 with 1 axis \(labels: are the files .* the wrong way round\?\)/],
    [
      "colour with its channels first",
      imageBytes(2, 3, 28, 28),
      /channels is 28; the limit is 16 \(is it \[images\]\[channels\]/,
    ],
    ["a cut file", imageBytes(40, 28, 28).subarray(0, 9999), /40 × 28 × 28 takes 31376 bytes; it has 9999/],
    ["a file with a tail", Buffer.concat([imageBytes(40, 28, 28), Buffer.alloc(3)]), /takes 31376 bytes; it has 31379/],
    ["a cut gzip", gzipSync(imageBytes(40, 28, 28)).subarray(0, 60), /60 bytes are not a whole gzip file/],
    ["other images than labels", imageBytes(39, 28, 28), /has 40 labels, but .*train-images-idx3-ubyte has 39 images/],
  ])("%s", async (_, bytes, message) => {
    const root = await scratchFolder();
    await writeIdx(root, {}, plain);
    const file = join(root, "train-images-idx3-ubyte");
    await writeFile(file, bytes);
    const told = await refusal(root);
    expect(told).toMatch(message);
    expect(told).toMatch(/^DATA_INVALID: .*train-images-idx3-ubyte/);
  });

  test.each([
    [
      "images",
      imageBytes(40, 28, 28),
      /train-labels.* 0x00000803, u8 with 3 axes \(images: .* the wrong way round\?\)/,
    ],
    ["a label below 0", idxBytes(0xc01, [1], Buffer.from("ffffffff", "hex")), /label 0 is -1; expected 0 to 65535/],
    ["a label that is too large", idxBytes(0xc01, [1], Buffer.from("00010000", "hex")), /label 0 is 65536/],
    ["one class only", labelBytes(40, 1), /every label is 0; expected at least 2 classes/],
  ])("%s in place of labels", async (_, bytes, message) => {
    const root = await scratchFolder();
    await writeIdx(root, { testLabels: labelBytes(10, 1) }, plain);
    await writeFile(join(root, "train-labels-idx1-ubyte"), bytes);
    expect(await refusal(root)).toMatch(message);
  });

  test("a folder of the file's name", async () => {
    const root = await scratchFolder();
    await writeIdx(root, {}, plain);
    await mkdir(join(root, "train-images-idx3-ubyte.gz"));
    expect(await refusal(root)).toMatch(/DATA_INVALID: .*train-images-idx3-ubyte\.gz: is no file/);
  });
});

describe("the folder is not the one", () => {
  test("the files are one folder further down, or up: it is named", async () => {
    const root = await scratchFolder();
    await writeIdx(join(root, "deep", "er"), {}, plain);
    await mkdir(join(root, "deep", "er", "empty"));
    expect(await refusal(root)).toContain(`they are in ${join(root, "deep", "er")}: point it there`);
    expect(await refusal(join(root, "deep", "er", "empty"))).toContain(`they are in ${join(root, "deep", "er")}: `);
  });

  test.each([
    [
      "nothing is there",
      async (root: string) => join(root, "nowhere"),
      /DATA_MISSING: data\.root is .*nowhere, which is not there/,
    ],
    ["the shell's ~ is in it", async () => "~/mnist", /is not there; ~ is the shell's, write the whole path/],
    [
      "it is a file",
      async (root: string) => {
        await writeFile(join(root, "mnist.tar.gz"), gzipSync("x"));
        return join(root, "mnist.tar.gz");
      },
      /a file, a gzip file, which lacks .*: unpack it, and give the folder with what was in it/,
    ],
    [
      "it has other files",
      async (root: string) => {
        await writeFile(join(root, "train.csv"), "1,2");
        return root;
      },
      /lacks train-images-idx3-ubyte\.gz, .* \(there are train\.csv\); point it at a folder/,
    ],
    [
      "it has sets with names of their own",
      async (root: string) => {
        await writeFile(join(root, "emnist-letters-train-images-idx3-ubyte.gz"), "x");
        return root;
      },
      /files of emnist-letters: put the four of one set into a folder of their own/,
    ],
  ])("%s", async (_, make, message) => {
    expect(await refusal(await make(await scratchFolder()))).toMatch(message);
  });

  test("several data sets are in it: which one is meant is not guessed", async () => {
    const root = await scratchFolder();
    for (const inner of ["MNIST/raw", "KMNIST/raw"]) await writeIdx(join(root, inner), {}, plain);
    expect(await refusal(root)).toMatch(/several data sets, .*MNIST\/raw, .*KMNIST\/raw: set data\.root to one/);
  });

  test("of fashion-mnist in one's own folder, too, nothing is to be removed", async () => {
    const root = await scratchFolder();
    await writeIdx(root, {}, plain);
    await writeFile(join(root, "train-images-idx3-ubyte"), "<html>");
    expect(await refusal(root, { kind: "fashion-mnist" })).toMatch(/is a web page .*: get it again/);
    expect(existsSync(join(root, "train-images-idx3-ubyte"))).toBe(true);
  });
});

test("the fixture writes what the importer is asked to read", () => {
  expect(idxContents().trainImages.length).toBe(16 + 40 * 784);
});
