import { appendFile, mkdir, rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openCommitLog } from "../../../coordinator/checkpoint/commit-log.ts";
import {
  HISTORY_FILE,
  type HistoryLine,
  MOST_HISTORY_BYTES,
  MOST_LINE_BYTES,
  writtenLine,
} from "../../../coordinator/history/history-line.ts";
import { RunHistory } from "../../../coordinator/history/run-history.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const begin = (after = 0): HistoryLine[] => [
  { kind: "begin", after },
  { kind: "pass", pass: { phase: "student", network: "student", epoch: 0, after } },
  { kind: "columns", table: "steps", columns: ["score"] },
];
const row = (step: number, score: number): HistoryLine => ({
  kind: "row",
  table: "steps",
  step,
  time: step,
  values: [score],
});
const text = (lines: readonly HistoryLine[]) => lines.map(writtenLine).join("");
const scores = (history: RunHistory) => history.view("steps", { series: ["score"] }).series.score?.mean;

test("a history is followed while it is written, half a line is waited for", async () => {
  const folder = await scratchFolder();
  const path = join(folder, HISTORY_FILE);
  const history = await RunHistory.open(folder);
  expect(history.step).toBe(0);
  await writeFile(path, text([...begin(), row(1, 0.5)]) + writtenLine(row(2, 0.25)).slice(0, 5));
  expect(await history.refresh()).toBe(true);
  expect(scores(history)).toEqual([0.5]);
  expect(await history.refresh()).toBe(false);
  await appendFile(path, writtenLine(row(2, 0.25)).slice(5));
  const { generation } = history;
  expect(await history.refresh()).toBe(true);
  expect(scores(history)).toEqual([0.5, 0.25]);
  expect(history.generation).toBe(generation);
});

test("steps that were taken back are gone, though the file has grown past where they stood", async () => {
  const folder = await scratchFolder();
  const path = join(folder, HISTORY_FILE);
  const head = text([...begin(), row(1, 1)]);
  await writeFile(path, head + text([row(2, 2)]));
  const history = await RunHistory.open(folder);
  const { generation } = history;
  await truncate(path, head.length);
  await appendFile(path, text([row(2, 3), row(3, 4)]));
  await history.refresh();
  expect(scores(history)).toEqual([1, 3, 4]);
  expect(history.generation).not.toBe(generation);
  await writeFile(join(folder, "other"), text([...begin(), row(1, 9)]));
  await rename(join(folder, "other"), path);
  await history.refresh();
  expect(scores(history)).toEqual([9]);
});

test("a run of an older build has the steps and evaluations of its log; a history that begins later goes on from there", async () => {
  const folder = await scratchFolder();
  const log = await openCommitLog(folder);
  const paramsHash = "0".repeat(64);
  for (const step of [1, 2, 3]) {
    const place = {
      pass: 0,
      phase: step < 3 ? "teacher" : "student",
      epoch: 0,
      ranges: [[0, step]] as [number, number][],
    };
    await log.append({ type: "step", step, ...place, samples: step, paramsHash });
  }
  await log.append({ type: "evaluate", step: 3, network: "student", score: "accuracy", value: 0.5 });
  await log.close();
  const history = await RunHistory.open(folder);
  expect(history.step).toBe(3);
  expect(history.view("steps", { series: ["samples"] }).series.samples.mean).toEqual([1, 2, 3]);
  expect(history.passes).toEqual([
    { phase: "teacher", network: null, epoch: 0, after: 0 },
    { phase: "student", network: null, epoch: 0, after: 2 },
  ]);
  expect(history.evaluations).toEqual([
    { step: 3, time: null, network: "student", score: "accuracy", value: 0.5, others: {} },
  ]);
  await writeFile(join(folder, HISTORY_FILE), text([...begin(2), row(3, 0.75)]));
  await history.refresh();
  const view = history.view("steps", { series: ["samples", "score"] });
  expect(view.steps).toEqual([1, 2, 3]);
  expect(view.series).toEqual({ samples: { mean: [1, 2, null] }, score: { mean: [null, null, 0.75] } });
  expect(history.evaluations).toEqual([]);
  // Within a pass: it is told once, from where it began, with what the history knows of it.
  await writeFile(join(folder, HISTORY_FILE), text([...begin(3), row(4, 0.75)]));
  await history.refresh();
  expect(history.passes).toEqual([
    { phase: "teacher", network: null, epoch: 0, after: 0 },
    { phase: "student", network: "student", epoch: 0, after: 2 },
  ]);
});

test("MOST_HISTORY_BYTES and MOST_LINE_BYTES: a larger file is refused, a longer line is passed over", async () => {
  const folder = await scratchFolder();
  const path = join(folder, HISTORY_FILE);
  const long = "x".repeat(2 * MOST_LINE_BYTES);
  await writeFile(path, `${text([...begin(), row(1, 1)])}${long}\n${text([row(2, 2)])}`);
  const history = await RunHistory.open(folder);
  expect(scores(history)).toEqual([1, 2]);
  expect(history.damaged).toBe(1);
  await truncate(path, MOST_HISTORY_BYTES + 1);
  await expect(history.refresh()).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining(`at most ${MOST_HISTORY_BYTES}`),
  });
  await mkdir(join(folder, "run", HISTORY_FILE), { recursive: true });
  await expect(RunHistory.open(join(folder, "run"))).rejects.toMatchObject({ code: "STORAGE_FAILED" });
});
