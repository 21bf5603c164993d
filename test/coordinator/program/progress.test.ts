// What the terminal shows: a block that is redrawn, or lines where nothing can be.

import { expect, test } from "vitest";
import type { RunSummary } from "../../../coordinator/engine/engine.ts";
import { paced, remaining } from "../../../coordinator/engine/local/pace.ts";
import { Progress } from "../../../coordinator/program/progress.ts";
import { costText, duration, eventLine, statusBlock, statusLine } from "../../../coordinator/program/progress-text.ts";
import { summaryLines } from "../../../coordinator/program/run-text.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { sampleWork } from "../../../shared/run/compute.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { phaseProgram, samplesAt } from "../../../shared/run/program.ts";
import { classification } from "../../../shared/tasks/classification.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { trainingStatus as status } from "../../fixtures/run-status.ts";
import { Screen } from "../../fixtures/screen.ts";
import { tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const ESCAPE = "\u001b";

test("the block says phase, step, losses, speed, workers, what it waits for, and when it will end", () => {
  expect(statusBlock(status, 120)).toEqual([
    "fashion: 1-bit student, epoch 2/3",
    `${"█".repeat(8)}${"░".repeat(22)} step 6/24  25.0 %  ETA 3 min 12 s`,
    "loss  task 0.512  kernel 0.0123  total 0.524  batch accuracy 81.3 %",
    "321 samples/s  2 workers  2/2 workers, 96/128 samples, waiting for w2 (9 s)",
  ]);
});

test("no line of the block is as wide as the terminal: one that wraps could not be redrawn", () => {
  for (const columns of [10, 40, 79])
    for (const line of statusBlock(status, columns)) expect(line.length).toBeLessThan(columns);
});

test("what a step costs is told in bytes a worker, and how late the event loop was", () => {
  expect(costText(status)).toBe("last step: 136 KiB down and 760 KiB up a worker; event loop late by 12.5 ms at most");
  const large = { ...status, bytesPerWorker: { down: 1_560_000, up: 46_800_000 }, loopDelayMs: null };
  expect(costText(large)).toBe("last step: 1.49 MiB down and 44.6 MiB up a worker");
  expect(costText({ ...status, bytesPerWorker: null })).toBeUndefined();
});

test("on a terminal the block is redrawn in place, below the lines that stay", () => {
  const screen = new Screen(true);
  const progress = new Progress(screen, () => 0, {});
  progress.line("hello");
  progress.update(status);
  progress.event({ type: "checkpoint", step: 6, path: "runs/r/checkpoints/step-6" });
  progress.update({ ...status, step: 7 });
  expect(screen.text().slice(0, 3)).toEqual([
    "hello",
    "checkpoint of step 6: runs/r/checkpoints/step-6",
    "fashion: 1-bit student, epoch 2/3",
  ]);
  expect(screen.text()).toHaveLength(7);
  expect(screen.text()[3]).toContain("step 7/24");
  progress.close();
  expect(screen.text()).toEqual(["hello", "checkpoint of step 6: runs/r/checkpoints/step-6", ""]);
});

test("without a terminal a line comes every few seconds, and only when something changed", () => {
  const screen = new Screen(false);
  let now = 0;
  const progress = new Progress(screen, () => now, {});
  for (now = 0; now <= 20_000; now += 500) progress.update({ ...status, step: now < 8000 ? 6 : 7 });
  progress.close();
  expect(screen.text()).toEqual([statusLine(status), statusLine({ ...status, step: 7 }), ""]);
});

test("events are told in words", () => {
  const adapter = { vendor: "google", architecture: "", description: "SwiftShader", software: true };
  expect(
    eventLine({
      type: "joined",
      account: "0".repeat(64),
      worker: workerId("w1"),
      name: "attic",
      runtime: "deno",
      adapter,
    }),
  ).toBe("w1 joined: attic, deno, SwiftShader (software)");
  expect(
    eventLine({ type: "evaluation", step: 9, network: "student", score: shownScore(classification.score, 0.8042) }),
  ).toBe("evaluation after step 9: the student gets 80.4 % of the test images right");
});

test("what strangers write cannot steer the terminal", () => {
  const detail = `lost${ESCAPE}[2J\nerror`;
  expect(eventLine({ type: "returned", worker: workerId("w1"), reason: "error", detail })).toBe(
    "w1 gave its lease back (error: lost?[2J?error)",
  );
});

test("durations are told in the two units that matter", () => {
  expect([0, 59.4, 60, 192, 3900].map(duration)).toEqual(["0 s", "59 s", "1 min 0 s", "3 min 12 s", "1 h 5 min"]);
});

test("what is left is told from the pace of each phase but its first round, evaluations included", () => {
  const config = tinyConfig();
  const program = phaseProgram(config, 7);
  const base = { program, batch: config.batch, testSamples: 10, evaluating: undefined };
  const whole = { ...base, step: 0, target: program.steps };
  expect(remaining(new Map(), whole).seconds).toBeNull();
  // 7 teacher samples, then twice 7 student and 7 of the BN phase; evaluations after the teacher and both epochs.
  const first = paced(new Map(), "teacher", 7, 70_000);
  expect(remaining(first, whole).seconds).toBeNull();
  const slow = paced(first, "teacher", 7, 7000);
  expect(remaining(slow, whole)).toMatchObject({ seconds: 35 + 30, evaluations: 3 });
  let known = slow;
  for (const phase of ["evaluate-teacher", "evaluate-student"]) {
    known = paced(paced(known, phase, 10, 10_000), phase, 10, 1000);
  }
  expect(remaining(known, whole).seconds).toBeCloseTo(35 + 3, 9);
  expect(remaining(known, { ...base, step: program.steps, target: program.steps })).toEqual({
    seconds: 0,
    evaluations: 0,
    guessed: [],
  });
  // One step of 4 samples, and the evaluation that ends a run which is cut short.
  expect(remaining(known, { ...base, step: 2, target: 3 }).seconds).toBeCloseTo(4 + 1, 9);
  const evaluating = { phase: "evaluate-teacher", samples: 5 };
  const last = remaining(known, { ...base, step: 3, target: 3, evaluating });
  expect([last.seconds, last.evaluations, last.guessed]).toEqual([expect.closeTo(0.5, 9), 1, []]);
  expect(samplesAt(program, 3, config.batch)).toBe(7 + 4);
});

test("a phase that was never measured is named, and as slow as what it computes next to those that were", () => {
  const config = tinyConfig();
  const program = phaseProgram(config, 7);
  const whole = {
    program,
    batch: config.batch,
    testSamples: 10,
    evaluating: undefined,
    step: 0,
    target: program.steps,
  };
  const known = paced(paced(new Map(), "teacher", 7, 70_000), "teacher", 7, 7000);
  const work = new Map([
    ["teacher", 10],
    ["student", 30],
    ["bn", 5],
    ["evaluate-teacher", 3],
    ["evaluate-student", 1],
  ]);
  const { seconds, guessed } = remaining(known, { ...whole, work });
  expect(seconds).toBeCloseTo(7 + 14 * 3 + 14 * 0.5 + 10 * 0.3 + 20 * 0.1, 9);
  expect(guessed).toEqual(["student", "bn", "evaluate-teacher", "evaluate-student"]);
  const measured = ["student", "bn"].reduce((pace, phase) => paced(paced(pace, phase, 7, 1), phase, 7, 7000), known);
  expect(remaining(measured, { ...whole, work }).guessed).toEqual(["evaluate-teacher", "evaluate-student"]);
  const counted = sampleWork(program, tinyState(config).networks);
  expect([...counted.keys()].sort()).toEqual([...work.keys()].sort());
  // Training is three times forward; the student's own forward is of bits, and a teacher and discriminators run beside.
  expect(counted.get("teacher")).toBe(3 * counted.get("evaluate-teacher")!);
  expect(counted.get("student")).toBeGreaterThan(counted.get("bn")!);
});

test("an ETA says how many evaluations are in it, and what of it is a guess; there is none before there is a basis", () => {
  const eta = (given: Partial<RunStatus>) => statusBlock({ ...status, ...given }, 120)[1];
  expect(eta({ etaSeconds: null })).toMatch(/ {2}ETA –$/);
  expect(eta({ eta: { evaluations: 0, guessed: [] } })).toMatch(/ {2}ETA 3 min 12 s$/);
  expect(eta({ eta: { evaluations: 1, guessed: [] } })).toMatch(/ {2}ETA 3 min 12 s with 1 evaluation$/);
  expect(eta({ eta: { evaluations: 2, guessed: ["1-bit student", "batch norm"] } })).toMatch(
    / {2}ETA about 3 min 12 s with 2 evaluations$/,
  );
  expect(statusBlock({ ...status, eta: { evaluations: 2, guessed: ["1-bit student"] } }, 80)).toContain(
    "      (not measured yet: 1-bit student)",
  );
  expect(statusLine({ ...status, eta: { evaluations: 2, guessed: ["1-bit student"] } })).toContain(
    "  ETA about 3 min 12 s with 2 evaluations  ",
  );
});

test("the summary names each network that was tested as the program does, and their scores as the task does", () => {
  const summary: RunSummary = {
    finished: true,
    step: 24,
    steps: 24,
    epoch: 2,
    samples: 768,
    scores: {
      teacher: { title: "teacher", ...shownScore(classification.score, 0.873) },
      student: { title: "1-bit network", ...shownScore(classification.score, 0.823) },
    },
    paramsHash: "",
    checkpoint: "checkpoints/step-24",
  };
  const lines = (scores: RunSummary["scores"], config = { epochs: 2 }) =>
    summaryLines(
      { ...summary, scores },
      { path: "runs/a", run: "a" },
      { binaryBytes: 1024, teacherBytes: 8192 },
      config,
      62,
    );
  expect(lines(summary.scores)).toEqual([
    "",
    "run a ended after step 24 of 24",
    "  teacher                  87.3 % of the test images right",
    "  1-bit network            82.3 % of the test images right",
    "  size                     1.0 KiB; in full precision 8.0 KiB (8.0 times)",
    "  time                     1 min 2 s, 768 training samples in all",
    "  checkpoint               checkpoints/step-24",
    "",
    "  longer:  npx coordinator resume runs/a --set epochs=3",
    "  export:  npx coordinator export runs/a --out model.safetensors",
    "  predict: npx coordinator predict runs/a picture.png",
    "  demo:    npx coordinator resume runs/a --linger",
  ]);
  expect(lines({})).toContain("  score                    not evaluated yet");
  // A tracker is tried on films.
  expect(lines({}, parseConfig({ epochs: 2, task: { kind: "siamfc" } }))).toContain(
    "  track:   npx coordinator track runs/a --data otb --root FOLDER",
  );
});
