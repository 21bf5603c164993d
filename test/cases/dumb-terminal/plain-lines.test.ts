// A terminal that says it is dumb, and whoever asks for plain text, gets lines as a pipe does: nothing moves a cursor.

import { afterEach, describe, expect, test, vi } from "vitest";
import { Progress } from "../../../coordinator/program/progress.ts";
import { statusLine } from "../../../coordinator/program/progress-text.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { Screen } from "../../fixtures/screen.ts";

afterEach(() => vi.unstubAllEnvs());

const status: RunStatus = {
  run: "r",
  name: "fashion",
  state: "training",
  phase: "teacher, epoch 1/2",
  step: 6,
  steps: 24,
  epoch: 0,
  collected: 96,
  wanted: 128,
  workers: 2,
  samples: 768,
  samplesPerSecond: 321,
  etaSeconds: 192,
  reason: "2/2 workers",
  loss: {},
  bytesPerWorker: null,
  loopDelayMs: null,
  batchScore: null,
  scores: {},
};

/** What a run of twenty seconds writes. */
function written(isTTY: boolean, environment?: Readonly<Record<string, string | undefined>>): Screen {
  const screen = new Screen(isTTY);
  let now = 0;
  const progress = new Progress(screen, () => now, ...(environment ? [environment] : []));
  progress.line("hello");
  for (now = 0; now <= 20_000; now += 500) progress.update({ ...status, step: Math.floor(now / 5000) });
  progress.event({ type: "checkpoint", step: 4, path: "step-4" });
  progress.close();
  return screen;
}

const ESCAPE = "\u001b";

describe.each([{ TERM: "dumb" }, { TERM: "xterm-256color", NO_COLOR: "1" }, { TERM: "xterm", CI: "true" }])(
  "with %j",
  (environment) => {
    test("a terminal gets what a pipe gets", () => {
      const { written: text } = written(true, environment);
      expect(text).toBe(written(false, environment).written);
      expect(text).not.toContain(ESCAPE);
      expect(text).not.toContain("\r");
      expect(text).toContain(`${statusLine({ ...status, step: 3 })}\n`);
    });
  },
);

test.each([{ TERM: "xterm" }, { TERM: "xterm", NO_COLOR: "" }, { TERM: "xterm", CI: "false" }, {}])(
  "with %j a terminal is redrawn",
  (environment) => {
    expect(written(true, environment).written).toContain(ESCAPE);
    expect(written(false, environment).written).not.toContain(ESCAPE);
  },
);

test("it is the environment of the process that says so", () => {
  vi.stubEnv("NO_COLOR", "");
  vi.stubEnv("CI", "");
  vi.stubEnv("TERM", "dumb");
  expect(written(true).written).not.toContain(ESCAPE);
  vi.stubEnv("TERM", "xterm");
  expect(written(true).written).toContain(ESCAPE);
});
