// Scores as they are told, kept and read again: top-5 beside top-1, where there are classes enough.

import { expect, test } from "vitest";
import { readNewestCheckpoint, restoreState, writeCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import { openCommitLog } from "../../../coordinator/checkpoint/commit-log.ts";
import { jsonSummary } from "../../../coordinator/program/json-lines.ts";
import { eventLine } from "../../../coordinator/program/progress-text.ts";
import { statusText } from "../../../coordinator/program/status-command.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { networkScores, scoreOf } from "../../../coordinator/state/scores.ts";
import { recordEvaluation } from "../../../coordinator/state/training-state.ts";
import { classification } from "../../../shared/tasks/classification.ts";
import { otherValues, shownScore } from "../../../shared/tasks/task.ts";
import { tinyState, withFolder } from "../../fixtures/tiny-run.ts";

const means = { task: 1.2, top1: 0.698, top5: 0.891 };
const { score } = classification;

test("top-5 is told beside top-1 where there are more than five classes", () => {
  expect(otherValues(score, means, 1000)).toEqual({ top5: 0.891 });
  expect(otherValues(score, means, 6)).toEqual({ top5: 0.891 });
  // Of five classes the first five are all.
  expect(otherValues(score, means, 5)).toEqual({});
  const shown = shownScore(score, means.top1, otherValues(score, means, 1000));
  expect(shown).toEqual({
    name: "accuracy",
    value: 0.698,
    better: "higher",
    text: "69.8 %, top-5 89.1 %",
    sentence: "69.8 % of the test images right, top-5 89.1 %",
    others: [{ name: "top5", value: 0.891, better: "higher" }],
  });
  expect(shownScore(score, 0.9, {})).not.toHaveProperty("others");
  expect(eventLine({ type: "evaluation", step: 9, network: "student", score: shown })).toContain(
    "69.8 % of the test images right, top-5 89.1 %",
  );
});

test("a run that is gone on with, or asked of its folder, still knows top-5", async () => {
  await withFolder(async (folder) => {
    const state = tinyState();
    const { config, dataset } = state;
    recordEvaluation(state, "teacher", means.top1, otherValues(scoreOf(config), means, dataset.classes));
    const extra = { run: "tiny-run", time: new Date(0).toISOString() };
    await writeCheckpoint(folder, encodeCheckpoint(state, "tiny-run"), state, new Ledger(), extra);
    const restored = restoreState(await readNewestCheckpoint(folder), dataset);
    expect(networkScores(restored)).toEqual(networkScores(state));
    expect(networkScores(restored).teacher.others).toEqual([{ name: "top5", value: 0.891, better: "higher" }]);

    const log = await openCommitLog(folder);
    await log.append({
      type: "evaluate",
      step: 0,
      network: "student",
      score: "accuracy",
      value: 0.5,
      others: { top5: 0.9 },
    });
    await log.close();
  });
});

test("the line of JSON at a run's end has top-5 by its name", () => {
  const scores = { student: { title: "1-bit network", ...shownScore(score, 0.5, { top5: 0.75 }) } };
  const line = jsonSummary({
    step: 1,
    steps: 1,
    epoch: 0,
    samples: 1,
    scores,
    paramsHash: "a".repeat(64),
    checkpoint: "c",
    finished: true,
  });
  expect(JSON.parse(line).scores.student).toEqual({
    name: "accuracy",
    value: 0.5,
    better: "higher",
    others: [{ name: "top5", value: 0.75, better: "higher" }],
  });
});

test("status in words has both", () => {
  const scores = { student: { title: "1-bit network", ...shownScore(score, 0.5, { top5: 0.75 }) } };
  const stopped = {
    run: "r",
    state: "stopped",
    step: 1,
    steps: 2,
    samples: 3,
    scores,
    finished: false,
    epochs: 1,
    checkpoint: "step-1",
    checkpointStep: 1,
    notices: [],
  } as const;
  expect(statusText(stopped, "runs/r")).toContain("  1-bit network: accuracy 50.0 %, top-5 75.0 %");
});
