// `status --watch` goes on until the run has come to its end, over a coordinator that is away in between.

import { expect, onTestFinished, test, vi } from "vitest";
import { statusText } from "../../../coordinator/program/status-command.ts";
import { watchStatus } from "../../../coordinator/program/watch-status.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { Screen } from "../../fixtures/screen.ts";
import { startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

/** A watch of a target, whose looks follow each other without a pause. */
function watched(target: string, { isTTY = true, json = false } = {}) {
  const screen = new Screen(isTTY, 80);
  const gone = new AbortController();
  let now = 0;
  const done = watchStatus({
    target,
    json,
    stream: screen,
    now: () => now,
    pause: async (ms) => {
      now += ms;
      await new Promise((resolve) => setTimeout(resolve, 5));
    },
    signal: gone.signal,
  });
  onTestFinished(() => gone.abort());
  return { screen, done, stop: () => gone.abort() };
}

test("of a folder it shows the run as it goes, ends with it, and leaves what it came to", async () => {
  vi.stubEnv("CI", "");
  const started = await startTestRun();
  const { path } = started.run.directory;
  const [inWindow, asJson] = [watched(path), watched(path, { isTTY: false, json: true })];
  const shown = () => inWindow.screen.text().join("\n");
  await expect.poll(shown).toContain("step 0/24");
  await expect.poll(() => asJson.screen.written).toContain('"step":0');
  await workToTheEnd(started, 1);
  await Promise.all([inWindow.done, asJson.done]);
  expect(shown()).toContain("has come to its end: step 24/24 committed");
  expect(shown()).not.toContain("samples/s");
  const written = asJson.screen.text().slice(0, -1);
  expect(new Set(written).size).toBe(written.length);
  const lines = written.map((line) => JSON.parse(line));
  expect(lines.length).toBeGreaterThan(1);
  expect(lines.at(-1)).toMatchObject({ state: "stopped", finished: true, step: 24 });
});

test("of a link it ends where the coordinator is gone after its last step", async () => {
  const started = await startTestRun({ maxSteps: 3 });
  const { screen, done } = watched(started.url, { isTTY: false });
  const worker = await started.connect().join();
  for (let step = 0; step < 3; step++) await worker.answer(await worker.lease());
  // The evaluation waits for the worker.
  await expect.poll(() => screen.written).toContain("step 3/3");
  await worker.work();
  await done;
  expect(screen.written).not.toContain("no coordinator answers");
  expect(screen.written.split("the coordinator is gone after its last step")[1]).toContain("step 3/3");
});

test("a run that was stopped is waited for, told once, and gone on with when it is resumed", async () => {
  const started = await startTestRun({ maxSteps: 3 });
  const { path } = started.run.directory;
  const { screen, done } = watched(path, { isTTY: false });
  await workToTheEnd(started, 1);
  await expect.poll(() => screen.written).toContain("is not running: step 3/24");
  const resumed = await startTestRun({ open: await reopenRun(path) });
  await workToTheEnd(resumed, 1);
  await done;
  expect(screen.written.match(/is not running: step 3/g)).toHaveLength(1);
  expect(screen.written).toContain("has come to its end: step 24/24 committed");
});

test("a link at which nobody answers any more is asked again, and that is said once; one that never answered is an error", async () => {
  const started = await startTestRun();
  const { screen, done, stop } = watched(started.url, { isTTY: false });
  await expect.poll(() => screen.written).toContain("step 0/24");
  started.coordination.stop();
  await started.coordination.done;
  await expect.poll(() => screen.written).toContain("no coordinator answers any more");
  stop();
  await done;
  expect(screen.written.match(/no coordinator answers/g)).toHaveLength(1);
  await expect(watched(started.url).done).rejects.toMatchObject({ code: "RUN_UNREACHABLE" });
});

test("what status prints of a run that stopped fits the window, but for what is copied", () => {
  const text = statusText(
    {
      run: "fashion-lenet-20250131-154501-3fa9",
      state: "stopped",
      step: 606,
      steps: 2400,
      samples: 606_000,
      scores: {},
      finished: false,
      epochs: 3,
      checkpoint: "/a/runs/x/checkpoints/step-600",
      checkpointStep: 600,
      downlink: { bitsPerWeight: 1.08, wholeBytes: 123_456, updateBytes: null },
      notices: [`process 77 on a-machine drives it, and does not answer: what is told here is on the disk`],
    },
    "/a/folder/that/is/long/runs/fashion-lenet-20250131-154501-3fa9",
    80,
  );
  const lines = text.split("\n");
  expect(lines.filter((line) => line.length >= 80)).toEqual([expect.stringMatching(/^ {2}go on: .* resume /)]);
  expect(lines.length).toBeGreaterThan(6);
});
