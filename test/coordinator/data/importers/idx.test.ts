// Rules of the importer of IDX files, on real files.
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { idxFiles, openIdxImages, readIdxLabels } from "../../../../coordinator/data/importers/idx.ts";
import { openDataset } from "../../../../coordinator/data/open-dataset.ts";
import { SHARD_SAMPLES } from "../../../../coordinator/data/sharder.ts";
import { datasetSchema, locateSample } from "../../../../shared/data/dataset.ts";
import { parseConfig } from "../../../../shared/run/config.ts";
import { shardBytesOf } from "../../../fixtures/shard-bytes.ts";
import { withFolder } from "../../../fixtures/tiny-run.ts";

function idx(magic: number, sizes: readonly number[], content: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * sizes.length);
  header.writeUInt32BE(magic, 0);
  sizes.forEach((size, i) => {
    header.writeUInt32BE(size, 4 + 4 * i);
  });
  return gzipSync(Buffer.concat([header, content]));
}

const images = (n: number, h: number, w: number) =>
  idx(
    0x803,
    [n, h, w],
    Uint8Array.from({ length: n * h * w }, (_, i) => (i * 7) % 256),
  );
const labels = (n: number, classes = 3) =>
  idx(
    0x801,
    [n],
    Uint8Array.from({ length: n }, (_, i) => i % classes),
  );

interface Files {
  readonly trainImages?: Buffer;
  readonly trainLabels?: Buffer;
  readonly testImages?: Buffer;
  readonly testLabels?: Buffer;
}

async function put(root: string, files: Files = {}): Promise<void> {
  await writeFile(join(root, idxFiles.train.images), files.trainImages ?? images(5000, 4, 3));
  await writeFile(join(root, idxFiles.train.labels), files.trainLabels ?? labels(5000));
  await writeFile(join(root, idxFiles.test.images), files.testImages ?? images(10, 4, 3));
  await writeFile(join(root, idxFiles.test.labels), files.testLabels ?? labels(10));
}

const data = (fields: Record<string, unknown>) => parseConfig({ data: { kind: "idx", ...fields } }).data;

test("the first N samples become content-addressed shards of at most 2048, in order", () =>
  withFolder(async (root) => {
    await put(root);
    const opened = await openDataset(data({ root, trainSamples: 4100, testSamples: 99 }), {});
    const { dataset } = opened;
    expect(datasetSchema.parse(dataset)).toEqual(dataset);
    expect(dataset).toMatchObject({ name: "idx", shape: { h: 4, w: 3, c: 1 }, classes: 3 });
    expect([dataset.train.samples, dataset.test.samples]).toEqual([4100, 10]);
    expect(dataset.train.shards.map(({ samples }) => samples)).toEqual([SHARD_SAMPLES, SHARD_SAMPLES, 4]);
    for (const { sha256, bytes } of [...dataset.train.shards, ...dataset.test.shards]) {
      const shard = await shardBytesOf(opened, sha256);
      expect(createHash("sha256").update(shard).digest("hex")).toBe(sha256);
      expect(shard.length).toBe(bytes);
    }
    for (const sample of [0, 2047, 2048, 4099]) {
      const at = locateSample(dataset, "train", sample);
      const bytes = await shardBytesOf(opened, dataset.train.shards[at.shard].sha256);
      const { samples } = dataset.train.shards[at.shard];
      expect([...bytes.subarray(12 * at.row, 12 * at.row + 12)]).toEqual(
        Array.from({ length: 12 }, (_, i) => ((12 * sample + i) * 7) % 256),
      );
      expect(bytes[12 * samples + 2 * at.row]).toBe(sample % 3);
      expect(bytes[12 * samples + 2 * at.row + 1]).toBe(0);
    }
    expect(await opened.shard("0".repeat(64))).toBeUndefined();
  }));

test("mean and deviation of idx files are those of the training pixels that are used", () =>
  withFolder(async (root) => {
    const pixels = Uint8Array.of(0, 0, 255, 255, 9, 9, 9, 9);
    await put(root, {
      trainImages: idx(0x803, [2, 2, 2], pixels),
      trainLabels: labels(2, 2),
      testImages: images(10, 2, 2),
    });
    const { dataset } = await openDataset(data({ root, trainSamples: 1 }), {});
    expect([dataset.mean, dataset.std]).toEqual([[0.5], [0.5]]);
    expect(dataset.classes).toBe(3);
  }));

test("Fashion-MNIST is found where the set-up puts it, with its own normalisation", async () => {
  const opened = await openDataset(data({ kind: "fashion-mnist", trainSamples: 3000, testSamples: 100 }));
  const { dataset } = opened;
  expect(dataset).toMatchObject({ shape: { h: 28, w: 28, c: 1 }, classes: 10, mean: [0.286], std: [0.353] });
  const [first] = dataset.train.shards;
  const labelBytes = (await shardBytesOf(opened, first.sha256)).subarray(first.samples * 784);
  expect([0, 2, 4, 6, 8].map((at) => labelBytes[at])).toEqual([9, 0, 0, 3, 0]);
  const shards = dataset.train.shards.map(async ({ sha256, samples }) =>
    (await shardBytesOf(opened, sha256)).subarray(0, samples * 784),
  );
  const pixels = (await Promise.all(shards)).flatMap((bytes) => [...bytes]);
  expect(pixels.reduce((a, b) => a + b) / pixels.length / 255).toBeCloseTo(0.286, 2);
});

test("BITSWARM_DATA names the folder where the configuration does not", () =>
  withFolder(async (root) => {
    await put(root);
    expect((await openDataset(data({}), { BITSWARM_DATA: root })).dataset.train.samples).toBe(5000);
  }));

test("DATA_MISSING says what is missing where, and how to get it", () =>
  withFolder(async (root) => {
    const missing = (fields: Record<string, unknown>, environment = {}) => openDataset(data(fields), environment);
    await expect(missing({ kind: "fashion-mnist", root })).rejects.toMatchObject({
      code: "DATA_MISSING",
      message: expect.stringMatching(/data\.root is .*train-images-idx3-ubyte\.gz.*npm run setup/),
    });
    await expect(missing({ root })).rejects.toMatchObject({
      code: "DATA_MISSING",
      message: expect.stringContaining(root),
    });
    await expect(missing({}, { BITSWARM_DATA: root })).rejects.toMatchObject({
      code: "DATA_MISSING",
      message: expect.stringContaining("BITSWARM_DATA"),
    });
    await expect(missing({})).rejects.toMatchObject({
      code: "DATA_MISSING",
      message: expect.stringContaining("set data.root"),
    });
  }));

const whole = images(5000, 4, 3);
const bad: readonly (readonly [what: string, files: Files, message: RegExp])[] = [
  ["a truncated gzip", { trainImages: whole.subarray(0, whole.length - 20) }, /train-images.*not a whole gzip file/],
  [
    "no gzip at all",
    { testLabels: Buffer.from("hello") },
    /t10k-labels.*begins with 0x68656c6c, which is neither gzip nor IDX/,
  ],
  [
    "a wrong magic",
    { trainImages: idx(0x801, [1, 1, 1], new Uint8Array(1)) },
    /train-images.*0x00000801, u8 with 1 axis \(labels: .*; expected images, 0x00000803/,
  ],
  [
    "labels where images belong",
    { trainLabels: images(10, 1, 1) },
    /train-labels.*0x00000803, .*named the wrong way round\?\); expected labels, 0x00000801/,
  ],
  [
    "a header that ends early",
    { testImages: gzipSync(Buffer.of(0, 0, 8, 3, 0, 0, 0, 1, 0)) },
    /t10k-images.*9 bytes; its header alone takes 16/,
  ],
  [
    "fewer pixels than announced",
    { testImages: idx(0x803, [3, 2, 2], new Uint8Array(11)) },
    /3 × 2 × 2 takes 28 bytes; it has 27/,
  ],
  [
    "more pixels than announced",
    { testImages: idx(0x803, [3, 2, 2], new Uint8Array(13)) },
    /takes 28 bytes; it has 29/,
  ],
  ["no images", { trainImages: idx(0x803, [0, 4, 3], new Uint8Array(0)) }, /images is 0/],
  ["another number of labels than of images", { trainLabels: labels(4999) }, /4999 labels, but .* has 5000 images/],
  ["test images of another size", { testImages: images(10, 3, 4) }, /t10k-images.*3×4; expected 4×3/],
  ["one class only", { trainLabels: labels(5000, 1), testLabels: labels(10, 1) }, /every label is 0/],
  [
    "one colour only",
    { trainImages: idx(0x803, [5000, 1, 1], new Uint8Array(5000).fill(8)), testImages: images(10, 1, 1) },
    /every pixel is 8/,
  ],
];

test.each(bad)("DATA_INVALID for %s names the file and the value", (_, files, message) =>
  withFolder(async (root) => {
    await put(root, files);
    await expect(openDataset(data({ root }), {})).rejects.toMatchObject({
      code: "DATA_INVALID",
      message: expect.stringMatching(message),
    });
  }),
);

test("what is not Fashion-MNIST is not taken for it", () =>
  withFolder(async (root) => {
    const open = () => openDataset(data({ kind: "fashion-mnist", root }), {});
    await put(root);
    await expect(open()).rejects.toMatchObject({
      code: "DATA_INVALID",
      message: expect.stringMatching(/4×3; expected 28×28/),
    });
    await put(root, {
      trainImages: images(12, 28, 28),
      trainLabels: labels(12, 11),
      testImages: images(10, 28, 28),
    });
    await expect(open()).rejects.toMatchObject({
      code: "DATA_INVALID",
      message: expect.stringMatching(/label 10 is 10/),
    });
  }));

test("a file that unpacks to more than the limit is refused by the limit", () =>
  withFolder(async (root) => {
    await put(root);
    const images = join(root, idxFiles.train.images);
    await expect(openIdxImages(images, "look", 1000)).rejects.toMatchObject({
      code: "DATA_INVALID",
      message: expect.stringMatching(/train-images.* bytes unpack to more than 1000; .*gunzip/),
    });
    await expect(readIdxLabels(join(root, idxFiles.test.labels), "look", 17)).rejects.toThrow(/unpack to more than 17/);
    expect((await openIdxImages(images, "look", 16 + 5000 * 12)).samples).toBe(5000);
  }));
