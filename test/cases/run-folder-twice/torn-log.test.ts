// A commit log that was torn, or written into by a second process of an older build, is cut to what verifies, and the
// run goes on from its checkpoint with every sample counted once.

import { createHash } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCommitLog } from "../../../coordinator/checkpoint/commit-log.ts";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { calmRun, startTestRun, stepHashes, workToTheEnd } from "../../fixtures/test-run.ts";

/** A run that committed ten steps: its newest checkpoint is after step 10. */
async function tenSteps(): Promise<string> {
  const started = await startTestRun({ maxSteps: 10 });
  await workToTheEnd(started, 1);
  return started.run.directory.path;
}

/** The line of a record that the second process wrote at the end it had seen: after the line `after`. */
function strangersLine(lines: readonly string[], after: number): string {
  const { h: head, fence } = JSON.parse(lines[after - 1]);
  const record = { type: "resume", fromStep: 3, checkpoint: "checkpoints/step-3", fence: fence + 1 };
  const h = createHash("sha256").update(head).update(JSON.stringify(record)).digest("hex");
  return `${JSON.stringify({ ...record, h })}\n`;
}

/** What happened: the second one's record lies over the beginning of the first one's line. */
function interleaved(text: string, after: number): string {
  const lines = text.trimEnd().split("\n");
  const at = `${lines.slice(0, after).join("\n")}\n`.length;
  const theirs = strangersLine(lines, after);
  return text.slice(0, at) + theirs + text.slice(at + theirs.length);
}

const damages: readonly (readonly [string, (text: string) => string])[] = [
  ["a second process wrote into its middle", (text) => interleaved(text, 6)],
  ["a second process wrote over its last line but one", (text) => interleaved(text, 9)],
  ["its end is zeros", (text) => `${text.slice(0, -200)}${"\0".repeat(180)}\n${"\0".repeat(300)}\n`],
  ["its first line was changed", (text) => text.replace('"samples":64', '"samples":65')],
  ["a line in its middle is gone", (text) => text.split("\n").toSpliced(4, 1).join("\n")],
  ["it was emptied", () => ""],
];

test.each(damages)("where %s the run goes on, with the bits of the run that nothing happened to", async (_, damage) => {
  const { summary: expected, hashes } = await calmRun();
  const path = await tenSteps();
  const file = join(path, "commits.ndjson");
  const broken = damage(await readFile(file, "utf8"));
  await writeFile(file, broken);
  const first = await startTestRun({ open: await reopenRun(path), maxSteps: 14 });
  expect(first.run.notices.join("\n")).toMatch(broken === "" ? /does not tell of all 10 steps/ : /commits\.ndjson/);
  expect(await workToTheEnd(first, 2)).toMatchObject({ finished: true, step: 14, samples: 14 * 64 });
  // Once more, so that the repaired log is itself read, checked and gone on with.
  const second = await startTestRun({ open: await reopenRun(path) });
  expect(second.run.notices).toEqual([]);
  expect({ ...(await workToTheEnd(second, 1)), checkpoint: "" }).toEqual(expected);
  const told = await stepHashes(second);
  expect(hashes).toEqual(expect.arrayContaining(told));
  expect(told.slice(-14)).toEqual(hashes.slice(-14));
  const copies = (await readdir(path)).filter((name) => name.startsWith("commits.ndjson.damaged-"));
  for (const copy of copies) expect(await readFile(join(path, copy), "utf8")).toBe(broken);
});

test("a damaged log is copied whole beside before it is cut, and the notice names line and copy", async () => {
  const path = await tenSteps();
  const file = join(path, "commits.ndjson");
  const broken = interleaved(await readFile(file, "utf8"), 6);
  await writeFile(file, broken);
  const opened = await reopenRun(path);
  const copy = `${file}.damaged-1`;
  expect(opened.notices[0]).toMatch(/was damaged at line 8 .*a copy of it as it was is /);
  expect(opened.notices[0]).toContain(copy);
  expect(await readFile(copy, "utf8")).toBe(broken);
  // Whoever wrote into it has the higher number: it is fenced off, too.
  expect(opened.log.fence).toBe(3);
  await opened.log.close();
  await opened.claim.release();
});

test("status of a run whose log is damaged says so, and how it goes on, and changes nothing", async () => {
  const path = await tenSteps();
  const file = join(path, "commits.ndjson");
  const broken = interleaved(await readFile(file, "utf8"), 6);
  await writeFile(file, broken);
  expect(await readStatus(path)).toMatchObject({
    state: "stopped",
    step: 10,
    notices: [expect.stringMatching(/line 8: is not JSON.*`npx coordinator resume .*` keeps a copy/)],
  });
  expect(await readFile(file, "utf8")).toBe(broken);
});

test("a checkpoint that contradicts a repaired log is refused, and the message names the way out", async () => {
  const path = await tenSteps();
  const other = await startTestRun({ config: { seed: 1 }, maxSteps: 10 });
  await workToTheEnd(other, 1);
  const file = join(path, "commits.ndjson");
  await writeFile(file, await readFile(join(other.run.directory.path, "commits.ndjson")));
  await expect(reopenRun(path)).rejects.toMatchObject({
    code: "COMMIT_LOG_CORRUPT",
    message: expect.stringContaining(`mv ${file} ${file}.other`),
  });
  await rm(file);
  const resumed = await startTestRun({ open: await reopenRun(path) });
  expect(await workToTheEnd(resumed, 1)).toMatchObject({ finished: true, step: 24, samples: 6 * 256 });
  expect((await readCommitLog(path)).map(({ type }) => type).slice(0, 2)).toEqual(["repair", "resume"]);
});
