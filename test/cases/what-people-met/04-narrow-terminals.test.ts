// A window of 80 columns, or one that is made narrower while a run goes on: nothing is cut, broken within a word, or
// left behind.

import { expect, test } from "vitest";
import type { RunSummary } from "../../../coordinator/engine/engine.ts";
import { Progress } from "../../../coordinator/program/progress.ts";
import { statusBlock } from "../../../coordinator/program/progress-text.ts";
import { summaryLines, welcomeLines } from "../../../coordinator/program/run-text.ts";
import { cut, displayWidth, filled, rowsOf } from "../../../shared/base/terminal-text.ts";
import { classification } from "../../../shared/tasks/classification.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { Screen } from "../../fixtures/screen.ts";

const status: RunStatus = {
  run: "r",
  name: "fashion-lenet",
  state: "training",
  phase: "1-bit student, epoch 2/3",
  step: 606,
  steps: 2400,
  epoch: 1,
  collected: 96,
  wanted: 128,
  workers: 12,
  samples: 768,
  samplesPerSecond: 321.4,
  etaSeconds: 4000,
  reason: "11/12 workers, 96/128 samples, seal in 1.2 s, waiting for w2 (9 s), w3 (stalled 31 s), w11 (1 s) and 2 more",
  loss: { task: 0.512, kernel: 0.0123, adversarial: 0.71, discriminators: 1.386, total: 0.5243 },
  bytesPerWorker: null,
  loopDelayMs: null,
  batchScore: shownScore(classification.score, 0.8125),
  scores: {},
};

const words = (lines: readonly string[]) =>
  lines
    .join(" ")
    .split(/\s+/)
    .filter((word) => word !== "");

test("the block of 80 columns has every part of it, each line shorter than the window, no word broken", () => {
  const whole = statusBlock(status, 400);
  expect(whole).toHaveLength(4);
  for (const columns of [100, 80, 60]) {
    const block = statusBlock(status, columns);
    for (const line of block) expect(displayWidth(line)).toBeLessThan(columns);
    // The bar alone is drawn to size.
    const text = (lines: readonly string[]) => words(lines).filter((word) => !/^[█░]+$/.test(word));
    expect(text(block)).toEqual(text(whole));
  }
});

test("in a window of any width no line of the block is as wide as it", () => {
  for (let columns = 1; columns <= 130; columns++) {
    for (const line of statusBlock({ ...status, name: "训练运行一个很长的名字" }, columns)) {
      expect(displayWidth(line), `${columns}`).toBeLessThan(Math.max(columns, 1));
    }
  }
});

const run = { path: "/home/somebody/with/a/long/name/runs/fashion-lenet-20261130-004246-0a4b", run: "fashion-lenet-1" };
const url = "http://127.0.0.1:8080/?token=9S-1s6F43VGKHgAxxZBxlw";
const summary: RunSummary = {
  finished: false,
  step: 24,
  steps: 48,
  epoch: 2,
  samples: 768,
  scores: { teacher: { title: "teacher", ...shownScore(classification.score, 0.873) } },
  paramsHash: "",
  checkpoint: `${run.path}/checkpoints/step-24`,
};

test.each([80, 60, 40])("welcome and summary keep to %i columns; paths, links and commands stay whole", (columns) => {
  const lines = [
    ...welcomeLines(run as never, url, "127.0.0.1", 0, columns),
    ...welcomeLines(run as never, url, "0.0.0.0", 2, columns),
    ...summaryLines(summary, run, { binaryBytes: 12_186, teacherBytes: 182_886 }, { epochs: 3 }, 62, columns),
  ];
  // What is copied may be as long as it is.
  const copied = [run.path, url, "npx coordinator", "fashion-lenet"];
  const prose = lines.filter((line) => !copied.some((text) => line.includes(text)));
  for (const line of prose) expect(displayWidth(line)).toBeLessThan(columns);
  expect(lines.join("\n")).toContain(url);
  expect(words(lines)).toEqual(
    words([
      ...welcomeLines(run as never, url, "127.0.0.1", 0, 1000),
      ...welcomeLines(run as never, url, "0.0.0.0", 2, 1000),
      ...summaryLines(summary, run, { binaryBytes: 12_186, teacherBytes: 182_886 }, { epochs: 3 }, 62, 1000),
    ]),
  );
});

test("a window that is made narrower or wider while the block stands leaves nothing of it behind", () => {
  for (const [before, after] of [
    [120, 60],
    [120, 31],
    [40, 130],
    [200, 7],
  ]) {
    const screen = new Screen(true, before);
    const progress = new Progress(screen, () => 0, {});
    progress.line("hello");
    progress.update(status);
    screen.resize(after);
    progress.update({ ...status, step: 607 });
    expect(screen.text().filter((line) => line.includes("606"))).toEqual([]);
    expect(screen.text()[0]).toBe("hello");
    progress.close();
    expect(screen.text()).toEqual(["hello", ""]);
  }
});

test("wide characters take two columns, and their rows are counted so", () => {
  expect(displayWidth("ab")).toBe(2);
  expect(displayWidth("训练")).toBe(4);
  expect(displayWidth("é")).toBe(1);
  expect(displayWidth("e\u0301")).toBe(1);
  expect(displayWidth("👍")).toBe(2);
  expect(displayWidth("█░…–")).toBe(4);
  expect(rowsOf("训练训练", 5)).toBe(2);
  expect(rowsOf("", 5)).toBe(1);
  expect(cut("训练训练", 6)).toBe("训练…");
  const screen = new Screen(true, 60);
  const progress = new Progress(screen, () => 0, {});
  progress.update({ ...status, name: "训练".repeat(20) });
  screen.resize(25);
  progress.close();
  expect(screen.text()).toEqual([""]);
});

test("parts that are wider than a line stand alone in it, whole", () => {
  expect(filled(["a", "b", "ccccccccc", "d"], 5, " ", "  ")).toEqual(["a b", "  ccccccccc", "  d"]);
  expect(filled([], 5)).toEqual([]);
});
