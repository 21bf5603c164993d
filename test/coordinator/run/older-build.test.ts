// K15 A folder of another build's format is called so, with what to do, and stays as it is.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openCommitLog, readCommitLog } from "../../../coordinator/checkpoint/commit-log.ts";
import { exportModel } from "../../../coordinator/checkpoint/export.ts";
import { isClaim } from "../../../coordinator/disk/claim.ts";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { withFolder } from "../../fixtures/tiny-run.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** A manifest whose own hash is right: its last field is the SHA-256 of the JSON of all others. */
function manifest(format: number): string {
  // As format 1 had it, as far as a reader gets.
  const fields = {
    format,
    run: "old-run",
    time: "2025-01-02T03:04:05.000Z",
    step: 1,
    network: "teacher",
    config: { name: "old-run", ablation: "R+G+B" },
    files: {},
    paramsHash: { teacher: "1".repeat(64), student: "2".repeat(64) },
    exponents: { "teacher/conv1.weight": -18 },
    evaluations: { teacher: null, student: null },
  };
  return JSON.stringify({ ...fields, sha256: sha256(JSON.stringify(fields)) });
}

/** The first line of a commit log of format 1: its chain began with zeros. */
function oldLog(): string {
  const record = {
    type: "step",
    step: 1,
    pass: 0,
    kind: "teacher",
    epoch: 0,
    ranges: [[0, 4]],
    samples: 4,
    paramsHash: "1".repeat(64),
  };
  return `${JSON.stringify({ ...record, h: sha256("0".repeat(64) + JSON.stringify(record)) })}\n`;
}

async function oldFolder(runDir: string, format = 1): Promise<void> {
  await mkdir(join(runDir, "checkpoints", "step-1"), { recursive: true });
  await writeFile(join(runDir, "run.yaml"), "name: old-run\n");
  await writeFile(join(runDir, "token"), "secret\n");
  await writeFile(join(runDir, "commits.ndjson"), oldLog());
  await writeFile(join(runDir, "checkpoints", "step-1", "manifest.json"), manifest(format));
}

async function contents(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  // Whoever looks into a run that it may change claims it first.
  const files = names
    .filter((entry) => entry.isFile() && !isClaim(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await readFile(file, "utf8")])));
}

const older = (what: RegExp) =>
  expect.objectContaining({
    code: "RUN_OF_OTHER_BUILD",
    message: expect.stringMatching(
      new RegExp(`${what.source}.*an older build wrote it: finish the run with that build, or start anew with`),
    ),
  });

test.each([
  ["resume", (folder: string) => reopenRun(folder)],
  ["status", (folder: string) => readStatus(folder)],
  ["export", (folder: string) => exportModel(folder, join(folder, "out"))],
])("K15 %s refuses a checkpoint of an older build, says what to do, and changes nothing", (_, open) =>
  withFolder(async (folder) => {
    await oldFolder(folder);
    const before = await contents(folder);
    await expect(open(folder)).rejects.toEqual(older(/step-1: manifest\.json has format 1; this build reads format 2/));
    expect(await contents(folder)).toEqual(before);
  }),
);

test("K15 a commit log of an older build is refused, not called damaged, and stays as it is", () =>
  withFolder(async (folder) => {
    await oldFolder(folder);
    const before = await contents(folder);
    await expect(openCommitLog(folder)).rejects.toEqual(older(/commits\.ndjson is a commit log of format 1/));
    await expect(readCommitLog(folder)).rejects.toEqual(older(/commits\.ndjson is a commit log of format 1/));
    expect(await contents(folder)).toEqual(before);
  }));

test("K15 a checkpoint of a newer build asks for an update", () =>
  withFolder(async (folder) => {
    await oldFolder(folder, 3);
    await expect(reopenRun(folder)).rejects.toMatchObject({
      code: "RUN_OF_OTHER_BUILD",
      message: expect.stringContaining("a newer build wrote it: update this one"),
    });
  }));
