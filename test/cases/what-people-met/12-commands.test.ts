// Commands of the program as people type them: where an export can go, which run status means, names after a resume.

import { appendFile, mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exportModel } from "../../../coordinator/checkpoint/export.ts";
import { newestRun } from "../../../coordinator/program/status-command.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

test("an export to a place where no file can be says which folder is not there, and leaves nothing behind", async () => {
  const started = await startTestRun({ maxSteps: 9 });
  await workToTheEnd(started, 1);
  const { path } = started.run.directory;
  const folder = await scratchFolder();
  const missing = join(folder, "missing", "x.safetensors");
  await expect(exportModel(path, missing)).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringMatching(/--out .*x\.safetensors cannot be written: the folder .*missing is not there/),
  });
  await expect(exportModel(path, folder)).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining("it is a folder"),
  });
  expect(await readdir(folder)).toEqual([]);
  expect(await exportModel(path, join(folder, "x.safetensors"))).toMatchObject({ step: 9 });
  expect(await readdir(folder)).toEqual(["x.safetensors"]);
});

test("status without a name is that of the run that was worked on last", async () => {
  const runs = join(await scratchFolder(), "runs");
  await expect(newestRun(runs)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining(`no run in ${runs}`),
  });
  for (const [name, seconds] of [
    ["old", 1000],
    ["newest", 3000],
    ["new", 2000],
  ] as const) {
    await mkdir(join(runs, name), { recursive: true });
    await writeFile(join(runs, name, "run.yaml"), "name: run\n");
    await utimes(join(runs, name, "run.yaml"), seconds, seconds);
  }
  await mkdir(join(runs, "no run"));
  expect(await newestRun(runs)).toBe(join(runs, "newest"));
  await writeFile(join(runs, "old", "commits.ndjson"), "");
  expect(await newestRun(runs)).toBe(join(runs, "old"));
});

test("a resumed run gives no worker a name that another one had", async () => {
  const started = await startTestRun({ maxSteps: 3 });
  await workToTheEnd(started, 3);
  const { path } = started.run.directory;
  const names = async (run: typeof started) =>
    (await run.events()).filter(({ type }) => type === "joined").map(({ worker }) => worker);
  expect(await names(started)).toEqual(["w1", "w2", "w3"]);
  const resumed = await startTestRun({ open: await reopenRun(path), maxSteps: 6 });
  await workToTheEnd(resumed, 2);
  expect(await names(resumed)).toEqual(["w1", "w2", "w3", "w4", "w5"]);
});

test("an event that a crash left without its end takes no other line with it", async () => {
  const started = await startTestRun({ maxSteps: 2 });
  await workToTheEnd(started, 1);
  const { path, eventsPath } = started.run.directory;
  await appendFile(eventsPath, '{"time":"2026-01-02T03:04:05.000Z","type":"joi');
  const resumed = await startTestRun({ open: await reopenRun(path), maxSteps: 4 });
  await workToTheEnd(resumed, 1);
  const lines = (await readFile(eventsPath, "utf8")).trimEnd().split("\n");
  const torn = lines.findIndex((line) => line.endsWith('"joi'));
  expect(torn).toBeGreaterThan(0);
  const after = lines.slice(torn + 1).map((line) => JSON.parse(line));
  expect(after).toContainEqual(expect.objectContaining({ type: "resumed", step: 2 }));
});
