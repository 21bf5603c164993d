// Rules of the importer of CIFAR's binary files, on small files of the format.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDataset } from "../../../../coordinator/data/open-dataset.ts";
import { locateSample } from "../../../../shared/data/dataset.ts";
import { labelOf, readShard } from "../../../../shared/data/shard-layout.ts";
import { parseConfig } from "../../../../shared/run/config.ts";
import { type CifarRecord, cifarFile, writeCifar10 } from "../../../fixtures/cifar-files.ts";
import { shardBytesOf } from "../../../fixtures/shard-bytes.ts";
import { scratchFolder } from "../../../fixtures/test-run.ts";

const options = (fields: Record<string, unknown>) => parseConfig({ data: fields }).data;

/** Content and label of a training sample of the open data set. */
async function sampleOf(opened: Awaited<ReturnType<typeof openDataset>>, index: number) {
  const { dataset } = opened;
  const { shard, row } = locateSample(dataset, "train", index);
  const { sha256, samples } = dataset.train.shards[shard];
  const { content, target } = readShard(dataset, await shardBytesOf(opened, sha256), samples, "it")(row);
  return { content, label: labelOf(target) };
}

/** Pixel p of channel c is p + 50·c in the first record, and so on. */
const record = (labels: readonly number[], shift = 0): CifarRecord => ({
  labels,
  pixel: (pixel, channel) => (pixel + 50 * channel + shift) % 256,
});

async function hundred(train: readonly CifarRecord[], test = [record([1, 2])]): Promise<string> {
  const root = await scratchFolder();
  await writeFile(join(root, "train.bin"), cifarFile(train));
  await writeFile(join(root, "test.bin"), cifarFile(test));
  return root;
}

test("CIFAR-10 is its five training files in order, planes of R, G, B become pixels, and record counts come from file sizes", async () => {
  const root = await scratchFolder();
  await writeCifar10(root, 3, 4);
  await writeFile(join(root, "data_batch_2.bin"), cifarFile([record([9]), record([0], 7)]));
  const opened = await openDataset(options({ kind: "cifar-10", root }), {});
  const { dataset } = opened;
  expect(dataset).toMatchObject({ name: "cifar-10", shape: { h: 32, w: 32, c: 3 }, classes: 10 });
  expect([dataset.train.samples, dataset.test.samples]).toEqual([14, 4]);
  const { content, label } = await sampleOf(opened, 4);
  expect(label).toBe(0);
  const at = (y: number, x: number, c: number) => content[(32 * y + x) * 3 + c];
  expect([at(0, 0, 0), at(0, 0, 1), at(0, 0, 2), at(0, 1, 0), at(1, 0, 2), at(31, 31, 2)]).toEqual([
    7,
    57,
    107,
    8,
    139,
    1130 % 256,
  ]);
  expect((await sampleOf(opened, 3)).label).toBe(9);
  expect((await sampleOf(opened, 5)).label).toBe(6);
});

test("mean and deviation of each channel are those of the training pixels that are used", async () => {
  const root = await scratchFolder();
  await writeCifar10(root, 1, 1);
  const plain: CifarRecord = { labels: [1], pixel: (pixel, channel) => (pixel % 2 === 0 ? 0 : 51 * (channel + 1)) };
  await writeFile(join(root, "data_batch_1.bin"), cifarFile([plain, record([2])]));
  const { dataset } = await openDataset(options({ kind: "cifar-10", root, trainSamples: 1 }), {});
  [0.1, 0.2, 0.3].forEach((half, c) => {
    expect(dataset.mean[c]).toBeCloseTo(half, 12);
    expect(dataset.std[c]).toBeCloseTo(half, 12);
  });
});

test.each([
  ["fine", 100, [37, 99]],
  ["coarse", 20, [4, 19]],
])("labels: %s of CIFAR-100 are %i classes", async (labels, classes, wanted) => {
  const root = await hundred([record([4, 37]), record([19, 99])]);
  const opened = await openDataset(options({ kind: "cifar-100", root, labels }), {});
  expect(opened.dataset.classes).toBe(classes);
  expect([(await sampleOf(opened, 0)).label, (await sampleOf(opened, 1)).label]).toEqual(wanted);
});

test("labels of CIFAR-100 are fine unless the configuration says coarse, and nothing else", () => {
  expect(options({ kind: "cifar-100" })).toMatchObject({ labels: "fine" });
  expect(() => options({ kind: "cifar-100", labels: "superclass" })).toThrow(/data\.labels.*"fine"\|"coarse"/);
  expect(() => options({ kind: "cifar-10", labels: "fine" })).toThrow(/data\.labels: there is no such field/);
});

test("the folder that the archive unpacks to is found in the one that is named, by data.root or BITSWARM_DATA", async () => {
  const root = await scratchFolder();
  await writeCifar10(join(root, "cifar-10-batches-bin"), 2, 2);
  expect((await openDataset(options({ kind: "cifar-10", root }), {})).dataset.train.samples).toBe(10);
  const named = await openDataset(options({ kind: "cifar-10" }), { BITSWARM_DATA: root });
  expect(named.dataset.test.samples).toBe(2);
});

test("more records than are read at once come in order", async () => {
  const many = Array.from({ length: 600 }, (_, i) => record([i % 20, i % 100], i));
  const opened = await openDataset(options({ kind: "cifar-100", root: await hundred(many) }), {});
  for (const i of [0, 255, 256, 511, 512, 599]) {
    const { content, label } = await sampleOf(opened, i);
    expect([label, content[0]]).toEqual([i % 100, i % 256]);
  }
});

test("DATA_MISSING says which files are missing where, and whence they come", async () => {
  const root = await scratchFolder();
  await writeCifar10(root, 1, 1);
  await expect(openDataset(options({ kind: "cifar-100", root }), {})).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringMatching(/data\.root is .* lacks train\.bin, test\.bin;.*cifar-100-binary\.tar\.gz/),
  });
});

const whole = cifarFile([record([3, 30]), record([4, 40])]);

test.each([
  [
    "a file that ends in a record",
    whole.subarray(0, 3074 + 3000),
    /train\.bin: has 6074 bytes; .* whole records of 3074/,
  ],
  ["a file of CIFAR-10's records", whole.subarray(0, 3073), /has 3073 bytes; .* whole records of 3074/],
  ["an empty file", new Uint8Array(0), /train\.bin: has 0 bytes; expected one or more/],
  [
    "a fine label that is no class",
    cifarFile([record([3, 30]), record([4, 100])]),
    /train\.bin: fine label of record 1 is 100; CIFAR-100 has 0 to 99/,
  ],
  [
    "a coarse label that is no class, though fine ones are used",
    cifarFile([record([20, 30])]),
    /train\.bin: coarse label of record 0 is 20; CIFAR-100 has 0 to 19/,
  ],
])("DATA_INVALID for %s names file, record and value", async (_, bytes, message) => {
  const root = await hundred([record([1, 1])]);
  await writeFile(join(root, "train.bin"), bytes);
  await expect(openDataset(options({ kind: "cifar-100", root }), {})).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(message),
  });
});

test("a label beyond CIFAR-10's ten classes is refused by file, record and value", async () => {
  const root = await scratchFolder();
  await writeCifar10(root, 2, 2);
  await writeFile(join(root, "data_batch_4.bin"), cifarFile([record([1]), record([2]), record([10])]));
  await expect(openDataset(options({ kind: "cifar-10", root }), {})).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/data_batch_4\.bin: label of record 2 is 10; CIFAR-10 has 0 to 9/),
  });
});

test("records behind those that a run uses are not read", async () => {
  const root = await hundred([record([1, 1]), record([99, 1])]);
  const { dataset } = await openDataset(options({ kind: "cifar-100", root, trainSamples: 1 }), {});
  expect(dataset.train.samples).toBe(1);
});

test("a folder in place of a file is not taken for data", async () => {
  const root = await hundred([record([1, 1])]);
  await mkdir(join(root, "inner"));
  await expect(openDataset(options({ kind: "cifar-100", root: join(root, "inner") }), {})).rejects.toMatchObject({
    code: "DATA_MISSING",
  });
});
