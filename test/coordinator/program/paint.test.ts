// Colour is where it is wanted, and takes no room: what is written without it is the same text.

import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { hasColour, paintedBlock, painter } from "../../../coordinator/program/paint.ts";
import { Progress } from "../../../coordinator/program/progress.ts";
import { displayWidth, wrapped } from "../../../shared/base/terminal-text.ts";
import { Screen } from "../../fixtures/screen.ts";

const ESCAPE = "\u001b";

describe.each([
  { isTTY: true, environment: {}, colour: true },
  { isTTY: true, environment: { TERM: "xterm-256color" }, colour: true },
  { isTTY: true, environment: { NO_COLOR: "" }, colour: true },
  { isTTY: true, environment: { CI: "false" }, colour: true },
  { isTTY: false, environment: {}, colour: false },
  { isTTY: true, environment: { TERM: "dumb" }, colour: false },
  { isTTY: true, environment: { NO_COLOR: "1" }, colour: false },
  // Any text but none says so (https://no-color.org).
  { isTTY: true, environment: { NO_COLOR: "0" }, colour: false },
  { isTTY: true, environment: { CI: "true" }, colour: false },
  { isTTY: false, environment: { FORCE_COLOR: "1" }, colour: true },
  { isTTY: false, environment: { FORCE_COLOR: "" }, colour: true },
  { isTTY: true, environment: { FORCE_COLOR: "1", NO_COLOR: "1", TERM: "dumb" }, colour: true },
  { isTTY: true, environment: { FORCE_COLOR: "0" }, colour: false },
  { isTTY: true, environment: { FORCE_COLOR: "false" }, colour: false },
])("a stream with isTTY $isTTY and $environment", ({ isTTY, environment, colour }) => {
  test(`has ${colour ? "" : "no "}colour`, () => {
    expect(hasColour({ isTTY }, environment)).toBe(colour);
    const screen = new Screen(isTTY);
    const progress = new Progress(screen, () => 0, environment);
    progress.event({ type: "checkpoint", step: 6, path: "step-6" });
    progress.close();
    expect(screen.written.includes(`${ESCAPE}[2m`)).toBe(colour);
    expect(stripVTControlCharacters(screen.written)).toBe("checkpoint of step 6: step-6\n");
  });
});

test("FORCE_COLOR asks for colour, and for nothing that moves a cursor", () => {
  const screen = new Screen(false);
  const progress = new Progress(screen, () => 0, { FORCE_COLOR: "1" });
  progress.show(
    () => ["a block"],
    () => "a line",
  );
  progress.close();
  expect(screen.written).toBe("a line\n");
});

test("a block's heading is bold and what is done of its bar green, and neither changes its text", () => {
  const block = ["fashion: teacher, epoch 1/2", "██░░ step 6/24  25.0 %", "loss 0.5"];
  const painted = paintedBlock(block, painter({ isTTY: true }, {}));
  expect(painted[0]).toContain(`${ESCAPE}[1m`);
  expect(painted[1]).toContain(`${ESCAPE}[32m██${ESCAPE}[39m░░ step`);
  expect(painted.map((line) => stripVTControlCharacters(line))).toEqual(block);
  expect(paintedBlock(block, painter({ isTTY: true }, { TERM: "dumb" }))).toEqual(block);
});

test("a sentence is broken between words in a window, and stays one line in a pipe", () => {
  const text =
    "w3: contribution refused, CONTRIBUTION_OUTLIER: its gradients are 1,000 times larger than is usual, 99.5 % of all";
  for (const columns of [80, 60, 40]) {
    const screen = new Screen(true, columns);
    new Progress(screen, () => 0, {}).sentence(text, "yellow");
    const lines = screen.text().slice(0, -1);
    for (const line of lines) expect(displayWidth(line)).toBeLessThan(columns);
    expect(lines.map((line) => line.trim()).join(" ")).toBe(text);
  }
  const pipe = new Screen(false);
  new Progress(pipe, () => 0, {}).sentence(text);
  expect(pipe.text()).toEqual([text, ""]);
});

test("a status in a window that redraws nothing is broken between its parts, and to a pipe one line", () => {
  const text = `step 10/36  teacher, epoch 1/1  loss 1.08  – samples/s  2 workers  ETA about 23 s with 3 evaluations  ${"waiting ".repeat(12).trim()}`;
  const shown = (screen: Screen) => {
    new Progress(screen, () => 0, { TERM: "dumb" }).show(
      () => [],
      () => text,
    );
    return screen.text().slice(0, -1);
  };
  expect(shown(new Screen(true, 80))).toEqual([
    "step 10/36  teacher, epoch 1/1  loss 1.08  – samples/s  2 workers",
    "  ETA about 23 s with 3 evaluations",
    "  waiting waiting waiting waiting waiting waiting waiting waiting waiting",
    "    waiting waiting waiting",
  ]);
  expect(shown(new Screen(false))).toEqual([text]);
});

test("commands, paths and links are broken nowhere, since they are copied", () => {
  const command = "npx coordinator resume /a/long/path/to/runs/fashion-lenet-20250131 --set epochs=4";
  expect(wrapped("  a deeper line of many words", 20)).toEqual(["  a deeper line of", "    many words"]);
  expect(wrapped(`the run has come to its end; to train it longer: ${command}`, 79)).toEqual([
    "the run has come to its end; to train it longer:",
    `  ${command}`,
  ]);
  const quoted = "keep a copy: `node '/home/a b/dist/bin.js' resume runs/x --workers 4`; it goes on from there";
  expect(wrapped(quoted, 40)).toEqual([
    "keep a copy:",
    "  `node '/home/a b/dist/bin.js' resume runs/x --workers 4`;",
    "  it goes on from there",
  ]);
});
