// Rules of the commit log, on real files.

import { createHash } from "node:crypto";
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
  phase: "teacher",
  epoch: 0,
  ranges: [[4 * (n - 1), 4 * n]],
  samples: 4,
  paramsHash: String(n % 10).repeat(64),
});
const evaluation: CommitRecord = { type: "evaluate", step: 2, network: "teacher", score: "accuracy", value: 0.8125 };
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
      const log = await openCommitLog(runDir, { fence: 1 });
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
      { text: text.replace('"value":0.8125', '"value":0.9125'), line: 3 },
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

test("K14 a coordinator that was replaced writes nothing more: COMMIT_LOG_FENCED names both, and no line is lost", () =>
  withFolder(async (runDir) => {
    const path = await written(runDir, [step(1), step(2)]);
    const stale = await openCommitLog(runDir);
    await stale.append(step(3));
    const fresh = await openCommitLog(runDir);
    expect([stale.fence, fresh.fence]).toEqual([2, 3]);
    await fresh.append(resume);
    await expect(stale.append(step(4))).rejects.toMatchObject({
      code: "COMMIT_LOG_FENCED",
      message: expect.stringMatching(/writer 2 .*newest writer is 3/),
    });
    await fresh.append(step(3));
    await expect(stale.append(step(4))).rejects.toMatchObject({ code: "COMMIT_LOG_FENCED" });
    await Promise.all([stale.close(), fresh.close()]);
    expect(await readCommitLog(runDir)).toEqual([step(1), step(2), step(3), resume, step(3)]);
    const fences = (await readFile(path, "utf8")).trimEnd().split("\n");
    expect(fences.map((line) => JSON.parse(line).fence)).toEqual([1, 1, 2, 3, 3]);
  }));

test("K14 a writer whose number is below the log's is refused at the door, and a line out of turn is seen", () =>
  withFolder(async (runDir) => {
    const log = await openCommitLog(runDir, { fence: 7 });
    await log.append(step(1));
    await log.close();
    await expect(openCommitLog(runDir, { fence: 6 })).rejects.toMatchObject({ code: "COMMIT_LOG_FENCED" });
    const next = await openCommitLog(runDir);
    expect(next.fence).toBe(8);
    await next.close();
    const outOfTurn = { ...step(2), fence: 6 };
    const h = createHash("sha256").update(next.head).update(JSON.stringify(outOfTurn)).digest("hex");
    await appendFile(join(runDir, COMMIT_LOG), `${JSON.stringify({ ...outOfTurn, h })}\n`);
    await expect(openCommitLog(runDir)).rejects.toMatchObject({ code: "COMMIT_LOG_CORRUPT" });
  }));
