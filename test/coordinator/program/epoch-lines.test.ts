// The history of a run in the terminal: one line an epoch that is over, with the best score so far.

import { expect, test } from "vitest";
import type { RunEvent } from "../../../coordinator/engine/run-event.ts";
import { EpochLines, epochText, evaluatedBefore } from "../../../coordinator/program/epoch-lines.ts";
import { displayWidth } from "../../../shared/base/terminal-text.ts";
import { phaseProgram } from "../../../shared/run/program.ts";
import { classification } from "../../../shared/tasks/classification.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import { stepEvent } from "../../fixtures/step-event.ts";
import { tinyConfig } from "../../fixtures/tiny-run.ts";

const config = tinyConfig();
// Teacher 7 samples in 2 steps; then twice student and BN, of as many.
const program = phaseProgram(config, 7);
const accuracy = (value: number) => shownScore(classification.score, value);
const step = (n: number, total: number) => stepEvent(n, { loss: { total, task: total } });
const evaluation = (n: number, network: string, value: number): RunEvent => ({
  type: "evaluation",
  step: n,
  network,
  score: accuracy(value),
});

/** What a run says that goes on from a step; each event takes a second. */
function history(events: readonly RunEvent[], from = 0, before: ReturnType<typeof evaluatedBefore> = []) {
  let now = 0;
  const lines = new EpochLines({ program, config, step: from, evaluated: before, now: () => now });
  return events.flatMap((event) => {
    now += 1000;
    return lines.take(event) ?? [];
  });
}

test("there is a line for each epoch, with the mean of its losses, its score, the best so far, and its time", () => {
  const lines = history([
    step(1, 2),
    step(2, 1),
    evaluation(2, "teacher", 0.8),
    step(3, 1),
    step(4, Number.NaN),
    step(5, 0.5),
    step(6, 0.25),
    evaluation(6, "student", 0.5),
    step(7, 1),
    step(8, 1),
    step(9, 0.125),
    step(10, 0.125),
    evaluation(10, "student", 0.4),
  ]);
  expect(lines).toEqual([
    { text: "teacher 1/1: loss 1.50, accuracy 80.0 %, 3 s", best: true },
    // Its network is evaluated after the phase behind it.
    { text: "1-bit student 1/2: loss 1.00, 2 s", best: false },
    { text: "batch norm 1/2: loss 0.375, accuracy 50.0 %, 3 s", best: true },
    { text: "1-bit student 2/2: loss 1.00, 2 s", best: false },
    { text: "batch norm 2/2: loss 0.125, accuracy 40.0 % (best 50.0 %), 3 s", best: false },
  ]);
});

test("a run that goes on knows the best of before, and no time of an epoch of which it did not see the beginning", () => {
  const records = [
    { type: "evaluate", step: 2, network: "teacher", score: "accuracy", value: 0.8 },
    { type: "evaluate", step: 6, network: "student", score: "accuracy", value: 0.5 },
    { type: "evaluate", step: 10, network: "student", score: "accuracy", value: 0.9 },
    { type: "resume", fromStep: 9, checkpoint: "step-9" },
  ] as const;
  const before = evaluatedBefore(records, 9);
  expect(before.map((one) => [one.step, one.network, one.value])).toEqual([
    [2, "teacher", 0.8],
    [6, "student", 0.5],
  ]);
  expect(history([step(10, 1), evaluation(10, "student", 0.6)], 9, before)).toEqual([
    { text: "batch norm 2/2: loss 1.00, accuracy 60.0 % (best so far)", best: true },
  ]);
});

test("an evaluation that is made again, as a crash came before its checkpoint, is not next to itself", () => {
  const before = [{ step: 6, network: "student", value: 0.5 }];
  expect(history([evaluation(6, "student", 0.5)], 6, before)).toEqual([
    { text: "batch norm 1/2: accuracy 50.0 %, 1 s", best: true },
  ]);
});

test("what is undone counts neither as loss nor as best", () => {
  const lines = history([
    step(1, 1),
    step(2, 1),
    evaluation(2, "teacher", 0.9),
    { type: "undone", step: 2, to: 1, accounts: [], message: "" },
    step(2, 3),
    evaluation(2, "teacher", 0.7),
  ]);
  expect(lines.map(({ text }) => text)).toEqual([
    "teacher 1/1: loss 1.00, accuracy 90.0 %, 3 s",
    "teacher 1/1: loss 2.00, accuracy 70.0 %, 3 s",
  ]);
});

test("an epoch that is cut short says where, and a network that came from a file has no epoch", () => {
  const lines = history([step(1, 1), evaluation(1, "teacher", 0.5), evaluation(1, "student", 0.1)]);
  expect(lines.map(({ text }) => text)).toEqual(["teacher 1/1 up to step 1: loss 1.00, accuracy 50.0 %, 2 s"]);
});

test("what is told beside a score is in the line, and a line without it fits 80 columns", () => {
  const beside = shownScore(classification.score, 0.8042, { top5: 0.951 });
  const evaluated = [{ step: 2, network: "student", value: 0.85 }];
  const lines = new EpochLines({ program, config, step: 2, evaluated, now: () => 0 });
  const line = lines.take({ type: "evaluation", step: 6, network: "student", score: beside });
  expect(line?.text).toBe("batch norm 1/2: accuracy 80.4 %, top-5 95.1 % (best 85.0 %), 0 s");
  const score = "accuracy 80.4 % (best 85.0 %)";
  const text = epochText({ title: "1-bit student 102/120", loss: 0.5241, score, seconds: 4000 });
  expect(text).toBe(`1-bit student 102/120: loss 0.524, ${score}, 1 h 6 min`);
  expect(displayWidth(text)).toBeLessThan(80);
});
