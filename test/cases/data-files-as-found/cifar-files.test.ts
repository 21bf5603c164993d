// CIFAR as people have it: the archive itself, the version for Python, the other data set, a folder too high or low.

import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { openDataset } from "../../../coordinator/data/open-dataset.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { cifarFile, writeCifar10 } from "../../fixtures/cifar-files.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const open = (root: string, kind = "cifar-10") => openDataset(parseConfig({ data: { kind, root } }).data, {});
const pickle = Buffer.concat([Buffer.from([0x80, 0x04, 0x95]), Buffer.alloc(500)]);

async function touch(folder: string, ...names: readonly string[]): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const name of names) await writeFile(join(folder, name), pickle);
  return folder;
}

const batches = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`);

test.each([
  [
    "the archive in the folder",
    "cifar-10",
    ["cifar-10-binary.tar.gz"],
    /unpack cifar-10-binary\.tar\.gz with `tar xzf/,
  ],
  [
    "Python's archive",
    "cifar-10",
    ["cifar-10-python.tar.gz"],
    /the python version of CIFAR-10, whose pickles are not read: get cifar-10-binary/,
  ],
  [
    "Python's version",
    "cifar-10",
    [...batches, "test_batch", "batches.meta"],
    /that is the python version of CIFAR-10/,
  ],
  [
    "Python's version of 100",
    "cifar-100",
    ["train", "test", "meta"],
    /python version of CIFAR-100, .* get cifar-100-binary\.tar\.gz/,
  ],
  [
    "Matlab's version",
    "cifar-10",
    [...batches, "test_batch"].map((name) => `${name}.mat`),
    /the Matlab version of CIFAR-10/,
  ],
  ["the other data set", "cifar-10", ["train.bin", "test.bin"], /that is CIFAR-100: set data\.kind=cifar-100/],
])("%s is named, with what to do", async (_, kind, names, message) => {
  const root = await touch(join(await scratchFolder(), "data"), ...names);
  await expect(open(root, kind)).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringMatching(message),
  });
});

test.each([
  ["cifar-10-binary.tar.gz", /a file, a gzip file, which lacks .*; unpack cifar-10-binary\.tar\.gz with `tar xzf/],
  ["cifar-10-python.tar.gz", /the python version of CIFAR-10/],
])("%s in place of a folder is named, with what to do", async (name, message) => {
  const root = join(await scratchFolder(), name);
  await writeFile(root, gzipSync(pickle));
  await expect(open(root)).rejects.toMatchObject({ code: "DATA_MISSING", message: expect.stringMatching(message) });
});

test("the folder above or below the right one is named", async () => {
  const root = await scratchFolder();
  const inner = join(root, "archive", "cifar-10-batches-bin");
  await writeCifar10(inner, 1, 1);
  await mkdir(join(inner, "notes"));
  const there = expect.stringContaining(`they are in ${inner}: point it there`);
  await expect(open(root)).rejects.toMatchObject({ code: "DATA_MISSING", message: there });
  await expect(open(join(inner, "notes"))).rejects.toMatchObject({ code: "DATA_MISSING", message: there });
  expect((await open(join(root, "archive"))).dataset.train.samples).toBe(5);
});

test("a pickle, or the other data set, under a binary file's name is named, and nothing is to be removed", async () => {
  const root = await scratchFolder();
  await writeCifar10(root, 1, 1);
  await writeFile(join(root, "data_batch_3.bin"), pickle);
  const error = await open(root).catch((cause: Error) => cause);
  expect(String(error)).toMatch(/data_batch_3\.bin: has 503 bytes and is a Python pickle; expected .* records of 3073/);
  expect(String(error)).not.toMatch(/remove|delete/);
  await writeFile(join(root, "data_batch_3.bin"), cifarFile([{ labels: [1, 2], pixel: () => 0 }]));
  await expect(open(root)).rejects.toThrow(/has 3074 bytes; .* records of 3073 \(CIFAR-100's are 3074\)/);
  await rename(join(root, "data_batch_3.bin"), join(root, "x"));
  await mkdir(join(root, "data_batch_3.bin"));
  await expect(open(root)).rejects.toThrow(/data_batch_3\.bin: is no file/);
});
