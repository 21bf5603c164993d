// How many classes there are is a fact of the data set, or said; not of the images that a run happens to use.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { openDataset } from "../../../coordinator/data/open-dataset.ts";
import { openFreshRun, reopenRun } from "../../../coordinator/run/open-run.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { idxBytes, labelBytes, writeIdx } from "../../fixtures/idx-files.ts";
import { scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

/** Labels in order, as a folder that was sorted gives them: 0 0 0 0 1 1 1 1 … */
const sorted = (n: number, each: number) =>
  idxBytes(
    0x801,
    [n],
    Uint8Array.from({ length: n }, (_, i) => Math.floor(i / each)),
  );

async function folder(trainLabels = sorted(40, 4)): Promise<string> {
  const root = await scratchFolder();
  await writeIdx(root, { trainLabels, testLabels: labelBytes(10, 10) });
  return root;
}

const open = (root: string, fields: Record<string, unknown> = {}) =>
  openDataset(parseConfig({ data: { kind: "idx", root, ...fields } }).data, {});

test("the classes are those of the whole data set, whatever part of it a run uses", async () => {
  const root = await folder();
  expect((await open(root)).dataset.classes).toBe(10);
  expect((await open(root, { trainSamples: 8, testSamples: 2 })).dataset.classes).toBe(10);
});

test("classes without images in what is used are named, those of either split", async () => {
  const root = await folder();
  expect((await open(root)).notices).toEqual([]);
  expect((await open(root, { trainSamples: 32, testSamples: 9 })).notices).toEqual([
    "2 of 10 classes have no image among the first 32 training images: 8, 9. If that is not meant, raise data.trainSamples, or check the labels and data.classes",
    "1 of 10 classes have no image among the first 9 test images: 9. If that is not meant, raise data.testSamples, or check the labels and data.classes",
  ]);
});

test("data.classes says how many there are, or their names, which a notice uses", async () => {
  const root = await folder();
  const opened = await open(root, { classes: 12 });
  expect(opened.dataset.classes).toBe(12);
  expect(opened.notices[0]).toMatch(/^2 of 12 classes have no image among the first 40 training images: 10, 11\./);
  const names = Array.from({ length: 11 }, (_, i) => `kind ${i}`);
  expect((await open(root, { classes: names })).notices[0]).toMatch(/^1 of 11 .*: 10 \(kind 10\)\./);
});

test("a label beyond data.classes is refused by file, sample and value", async () => {
  await expect(open(await folder(), { classes: 9 })).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(
      /train-images.*train-labels.*sample 36 has label 9; expected an integer from 0 to 8/,
    ),
  });
});

test.each([
  [1, /data\.classes/],
  [65_537, /data\.classes: .*; got 65537/],
  [["one"], /data\.classes/],
])("data.classes=%j is refused", (classes, message) => {
  expect(() => parseConfig({ data: { kind: "idx", classes } })).toThrow(message);
});

test("a run names them at its start, and keeps in its run.yaml how many classes there are", async () => {
  const root = await folder();
  const config = parseConfig({ data: { kind: "idx", root, trainSamples: 8 }, batch: 8, microbatch: 8 });
  const run = await openFreshRun(config, join(await scratchFolder(), "run"));
  expect(run.notices[0]).toMatch(/^8 of 10 classes have no image among the first 8 training images: 2, 3, /);
  expect(parse(await readFile(join(run.directory.path, "run.yaml"), "utf8")).data.classes).toBe(10);
  await run.log.close();
});

test("a run whose configuration does not say how many classes there are goes on with those that it had", async () => {
  const started = await startTestRun({ maxSteps: 1 });
  await workToTheEnd(started, 1);
  const { directory, data } = started.run;
  const again = await reopenRun(directory.path);
  expect(again.data.dataset.classes).toBe(data.dataset.classes);
  await again.log.close();
});

test("volunteers are told how many classes there are by the data set, and no names", async () => {
  const names = Array.from({ length: 10 }, (_, i) => `class ${i}`);
  const root = await folder();
  const started = await startTestRun({ config: { data: { kind: "idx", root, classes: names } } });
  const worker = await started.connect().join();
  expect(JSON.stringify(worker.welcome)).not.toContain("class 3");
});
