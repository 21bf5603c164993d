// Rules of the commit log, on real files.
import { appendFile, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  COMMIT_LOG,
  type CommitRecord,
  openCommitLog,
  readCommitLog,
  standingCommits,
} from "../../../coordinator/checkpoint/commit-log.ts";
import { withFolder } from "../../fixtures/tiny-run.ts";

const step = (n: number): CommitRecord => ({
  type: "step",
  step: n,
  pass: 0,
  kind: "teacher",
  epoch: 0,
  ranges: [[4 * (n - 1), 4 * n]],
  samples: 4,
  paramsHash: String(n % 10).repeat(64),
});
const evaluation: CommitRecord = { type: "evaluate", step: 2, network: "teacher", accuracy: 0.8125 };
const resume: CommitRecord = { type: "resume", fromStep: 2, checkpoint: "checkpoints/step-2" };
const records = [step(1), step(2), evaluation, step(3), resume, step(3)];

async function written(runDir: string, all = records): Promise<string> {
  const log = await openCommitLog(runDir);
  for (const record of all) await log.append(record);
  await log.close();
  return join(runDir, COMMIT_LOG);
}

test("what was appended is there after opening again, in order, on one line a record", () =>
  withFolder(async (runDir) => {
    const path = await written(runDir);
    const log = await openCommitLog(runDir);
    expect(log.records).toEqual(records);
    expect(log.notice).toBeNull();
    await log.append(step(4));
    await log.close();
    const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).type)).toEqual([...records.map(({ type }) => type), "step"]);
    expect(JSON.parse(lines[6]).h).toBe(log.head);
    expect(await readCommitLog(runDir)).toEqual([...records, step(4)]);
  }));

test("appends that are not awaited are written in the order of the calls", () =>
  withFolder(async (runDir) => {
    const log = await openCommitLog(runDir);
    await Promise.all(Array.from({ length: 20 }, (_, i) => log.append(step(i + 1))));
    await log.close();
    expect((await readCommitLog(runDir)).map((record) => "step" in record && record.step)).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
  }));

test("a last line torn anywhere is cut with a notice, and the log goes on", () =>
  withFolder(async (runDir) => {
    const path = await written(runDir);
    const bytes = await readFile(path);
    const lastLine = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1;
    for (const keep of [lastLine + 1, lastLine + 50, bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, keep));
      expect(await readCommitLog(runDir)).toEqual(records.slice(0, -1));
      expect((await readFile(path)).length).toBe(keep);
      const log = await openCommitLog(runDir);
      expect(log.notice).toContain(`cut ${keep - lastLine} bytes`);
      expect(log.records).toEqual(records.slice(0, -1));
      await log.append(records[records.length - 1]);
      await log.close();
      expect(await readFile(path)).toEqual(bytes);
    }
    await appendFile(path, Buffer.alloc(100));
    const log = await openCommitLog(runDir);
    expect(log.notice).toContain("cut 100 bytes");
    await log.close();
    expect(await readFile(path)).toEqual(bytes);
  }));

test("a changed, missing, moved or foreign line is COMMIT_LOG_CORRUPT and named", () =>
  withFolder(async (runDir) => {
    const path = await written(runDir);
    const text = await readFile(path, "utf8");
    const lines = text.trimEnd().split("\n");
    const joined = (parts: readonly string[]) => `${parts.join("\n")}\n`;
    const cases = [
      { text: text.replace('"accuracy":0.8125', '"accuracy":0.9125'), line: 3 },
      { text: text.replace('"step":1,', '"step":2,'), line: 1 },
      { text: joined(lines.toSpliced(1, 1)), line: 2 },
      { text: joined([lines[1], lines[0], ...lines.slice(2)]), line: 1 },
      { text: joined([...lines, "{}"]), line: 7 },
      { text: joined([...lines, "not JSON"]), line: 7 },
      { text: joined([...lines.slice(0, 2), "", ...lines.slice(2)]), line: 3 },
    ];
    for (const { text: broken, line } of cases) {
      await writeFile(path, broken);
      const expected = { code: "COMMIT_LOG_CORRUPT", message: expect.stringContaining(`line ${line}:`) };
      await expect(openCommitLog(runDir)).rejects.toMatchObject(expected);
      await expect(readCommitLog(runDir)).rejects.toMatchObject(expected);
      expect(await readFile(path, "utf8")).toBe(broken);
    }
  }));

test("any byte changed in a whole line is noticed", () =>
  withFolder(async (runDir) => {
    const path = await written(runDir, records.slice(0, 3));
    const bytes = await readFile(path);
    for (let at = 0; at < bytes.length - 1; at += 7) {
      const broken = Buffer.from(bytes);
      broken[at] ^= 1;
      await writeFile(path, broken);
      await expect(readCommitLog(runDir), `byte ${at}`).rejects.toMatchObject({ code: "COMMIT_LOG_CORRUPT" });
    }
  }));

test("a run without a log has no records, and an empty log is a log", () =>
  withFolder(async (runDir) => {
    expect(await readCommitLog(runDir)).toEqual([]);
    const path = await written(runDir, []);
    await truncate(path, 0);
    expect(await readCommitLog(runDir)).toEqual([]);
  }));

test("a resume supersedes what was committed after its checkpoint, and removes nothing from the file", () => {
  expect(standingCommits(records)).toEqual([step(1), step(2), evaluation, step(3)]);
  expect(standingCommits([...records, { ...resume, fromStep: 0 }])).toEqual([]);
  expect(standingCommits([])).toEqual([]);
});
