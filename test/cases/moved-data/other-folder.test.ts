// Data and teacher are found again wherever they lie: what is in them is compared, not where they are.

import { copyFile, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type ReopenOptions, reopenRun } from "../../../coordinator/run/open-run.ts";
import { writeNoiseImages } from "../../fixtures/noise-images.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { calmRun, scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

const nothingSet = {};

/** A stopped run whose images were moved from where it found them; the run's folder, and the images' now. */
async function movedRun(): Promise<{ readonly path: string; readonly moved: string; readonly root: string }> {
  const started = await startTestRun({ maxSteps: 9 });
  await workToTheEnd(started, 1);
  const { directory, state } = started.run;
  const root = state.config.data.root ?? "";
  const moved = join(await scratchFolder(), "moved here");
  await rename(root, moved);
  return { path: directory.path, moved, root };
}

async function reopened(path: string, options: ReopenOptions) {
  const opened = await reopenRun(path, options);
  await opened.log.close();
  await opened.claim.release();
  return opened;
}

test("a run whose data was moved says what to type, and goes on with the same bits once it is told where it is", async () => {
  const { summary: expected } = await calmRun();
  const { path, moved, root } = await movedRun();
  await expect(reopenRun(path, { environment: nothingSet })).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringContaining(
      `npx coordinator resume ${path} --set data.root=FOLDER\`, or BITSWARM_DATA=FOLDER`,
    ),
  });
  const open = await reopenRun(path, { set: [`data.root=${moved}`], environment: nothingSet });
  const on = await startTestRun({ open });
  expect(on.run.notices).toEqual([`data.root: ${JSON.stringify(root)} → ${JSON.stringify(moved)}, from here on`]);
  expect({ ...(await workToTheEnd(on, 1)), checkpoint: "" }).toEqual(expected);
  expect(await readFile(join(path, "run.yaml"), "utf8")).toContain(moved);
});

test("BITSWARM_DATA is looked into where the folder of before has no such data, and is remembered", async () => {
  const { path, moved } = await movedRun();
  const opened = await reopened(path, { environment: { BITSWARM_DATA: moved } });
  expect(opened.notices).toEqual([`the data set is in ${moved}, as BITSWARM_DATA says`]);
  expect((await reopened(path, { environment: nothingSet })).notices).toEqual([]);
});

test("BITSWARM_DATA is looked into where the folder of before has other data now", async () => {
  const { path, moved, root } = await movedRun();
  await writeNoiseImages(root, undefined, 4711);
  const opened = await reopened(path, { environment: { BITSWARM_DATA: moved } });
  expect(opened.state.config.data.root).toBe(moved);
});

test("a folder with other data is refused by its content, and the message names the way", async () => {
  const { path } = await movedRun();
  const other = join(await scratchFolder(), "other");
  await writeNoiseImages(other, undefined, 4711);
  await expect(reopenRun(path, { set: [`data.root=${other}`], environment: nothingSet })).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/was trained on .*SHA-256.*Any folder that holds the same files will do/),
  });
});

test("a teacher's file may lie elsewhere: it is compared with what the run began with", async () => {
  const source = await startTestRun({ maxSteps: 8 });
  const { checkpoint } = await workToTheEnd(source, 1);
  const folder = await scratchFolder();
  const [old, elsewhere, other] = ["old", "elsewhere", "other"].map((name) =>
    join(folder, name, "teacher.safetensors"),
  );
  for (const file of [old, elsewhere, other]) await mkdir(join(file, ".."));
  await copyFile(join(checkpoint, "teacher.safetensors"), old);
  const started = await startTestRun({ config: { teacher: { file: old } }, maxSteps: 2 });
  await workToTheEnd(started, 1);
  const { path } = started.run.directory;
  await rename(old, elsewhere);
  // Its parameters are in the checkpoint: nobody needs the file.
  expect((await reopened(path, {})).notices).toEqual([]);
  const told = await reopened(path, { set: [`teacher.file=${elsewhere}`] });
  expect(told.notices[0]).toMatch(/^teacher\.file: .* → .*elsewhere/);
  const another = await startTestRun({ config: { seed: 3 }, maxSteps: 8 });
  const theirs = await workToTheEnd(another, 1);
  await copyFile(join(theirs.checkpoint, "teacher.safetensors"), other);
  await expect(reopenRun(path, { set: [`teacher.file=${other}`] })).rejects.toMatchObject({
    code: "TEACHER_MISMATCH",
    message: expect.stringContaining("the teacher that this run began with"),
  });
  await rm(elsewhere);
  await expect(reopenRun(path, { set: ["teacher.file="] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("a store that was moved is found again by its manifest, and another one is refused", async () => {
  const folder = await scratchFolder();
  const shape = { h: 28, w: 28, c: 1 };
  const parts = { media: "pixels", shape, mean: [0.5], std: [0.25], classes: 10, chunk: 4, chunksPerShard: 8 } as const;
  const splits = { train: noiseSamples(128, shape, 10), val: noiseSamples(96, shape, 10, 3) };
  const [store, moved, other] = ["store", "moved", "other"].map((name) => join(folder, name));
  await writeStoreFolder(store, { ...parts, splits });
  await writeStoreFolder(other, { ...parts, splits, mean: [0.4] });
  const started = await startTestRun({
    config: { data: { kind: "store", store }, teacher: { epochs: 1 } },
    maxSteps: 3,
  });
  await workToTheEnd(started, 1);
  const { path } = started.run.directory;
  await rename(store, moved);
  await expect(reopenRun(path, { environment: nothingSet })).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringMatching(/store is not there.*holds the same store will do.*--set data\.store=FOLDER/),
  });
  await expect(reopenRun(path, { set: [`data.store=${other}`], environment: nothingSet })).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/was trained on test .*SHA-256.*data\.store/),
  });
  const opened = await reopened(path, { environment: { BITSWARM_DATA: moved } });
  expect(opened.state.config.data.store).toBe(moved);
});
