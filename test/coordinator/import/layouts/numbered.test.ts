// Numbered files of which some are not there, as after a download that stopped: told, never passed over in silence.

import { cpSync, rmSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { MOST_SHARDS } from "../../../../coordinator/import/layouts/braces.ts";
import { missingNotice } from "../../../../coordinator/import/layouts/numbered.ts";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { folderOf, openAt } from "./reading.ts";

const { root } = imagenetFixtures();

test("files that the names count, or that lie between others, are missed by name", () => {
  expect(missingNotice(["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"])).toEqual([
    "by their numbers 1 file is not there, and the store goes without: train-00001-of-00003",
  ]);
  expect(missingNotice(["train-00000-of-00003-0a1b.parquet", "train-00001-of-00003-7f.parquet"]).join()).toMatch(
    /1 file is not there.*train-00002-of-00003$/,
  );
  expect(missingNotice(["a1k-train-0007.tar", "a1k-train-0009.tar"]).join()).toMatch(/: a1k-train-0008\.tar$/);
});

test("whole series, counted from 0 or 1, and names that are no series miss nothing", () => {
  for (const names of [
    ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
    ["train-00001-of-00002.tar", "train-00002-of-00002.tar"],
    ["x-8.tar", "x-9.tar", "x-10.tar"],
    ["train_images_1.tar.gz", "train_images_2.tar.gz"],
    ["0.tar", `${MOST_SHARDS}.tar`, "0-of-999999999.tar", `99000-${MOST_SHARDS}.tar`, "99000-99999.tar.gz"],
    ["a.tar", "b.tar"],
    [],
  ])
    expect(missingNotice(names)).toEqual([]);
});

test.each([
  ["huggingface", "data/train-00000-of-00002.parquet", /1 file is not there.*train-00000-of-00002,/],
  ["webdataset", "imagenet1k-train-0001.tar", /1 file is not there.*imagenet1k-train-0001\.tar/],
])("a file of %s that is missing is told", async (layout, file, message) => {
  const folder = folderOf();
  cpSync(path.join(root, layout), folder, { recursive: true });
  expect((await openAt(folder)).notices.join()).not.toMatch(/not there/);
  rmSync(path.join(folder, file));
  expect((await openAt(folder)).notices.join()).toMatch(message);
});
