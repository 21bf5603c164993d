// What storms measure pauses by sees each commit once, whichever log has it first, and the pauses between them.

import { appendFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../fixtures/test-run.ts";
import { CommitWatch } from "./commit-watch.ts";

const line = (type: string, step: number, h: string) => {
  const at = type === "resume" ? { fromStep: step } : { step };
  return `${JSON.stringify({ type, ...at, h })}\n`;
};

test("CommitWatch sees a commit once, in whichever log it is first, and a log that another took the place of", async () => {
  const folder = await scratchFolder();
  const [one, other] = [join(folder, "one"), join(folder, "other")];
  const watch = new CommitWatch([one, other]);
  onTestFinished(() => watch.close());
  const seen = () => watch.seen.map(({ step }) => step);
  writeFileSync(one, `${line("step", 1, "a")}${line("step", 2, "b").slice(0, 9)}`);
  await expect.poll(seen).toEqual([1]);
  appendFileSync(one, line("step", 2, "b").slice(9));
  await expect.poll(seen).toEqual([1, 2]);
  writeFileSync(other, line("step", 1, "a") + line("step", 2, "b") + line("evaluate", 2, "c") + line("step", 3, "d"));
  await expect.poll(seen).toEqual([1, 2, 3]);
  expect(watch.steps).toEqual([2, 3]);
  // What was lost with its leader is computed again, and is another commit.
  const again = line("step", 1, "a") + line("step", 2, "b") + line("resume", 1, "e") + line("step", 2, "f");
  writeFileSync(`${one}.new`, again);
  renameSync(`${one}.new`, one);
  await expect.poll(seen).toEqual([1, 2, 3, 2]);
  expect(watch.steps).toEqual([2, 3]);
});

test("CommitWatch tells the longest pause that ended in a time, and one without an end up to then", () => {
  const watch = new CommitWatch([]);
  watch.close();
  watch.seen.push(...[1000, 1200, 4200, 4300].map((at, index) => ({ step: index + 1, at })));
  expect(watch.longestGap(1000, 4300)).toBe(3000);
  expect(watch.longestGap(3000, 3500)).toBe(2300);
  expect(watch.longestGap(4250, 4300)).toBe(100);
  expect(watch.longestGap(4300, 9300)).toBe(5000);
});
