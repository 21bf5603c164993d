// TensorBoard's files are what Google's protobuf runtime, which TensorBoard reads them by, makes of them.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { HistoryWriter } from "../../../coordinator/history/history-writer.ts";
import { readTensorboard } from "../../fixtures/read-tensorboard.ts";
import { stepEvent } from "../../fixtures/step-event.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { notOnLinux, testTool } from "../../fixtures/test-tool.ts";

test.skipIf(notOnLinux)("what Google's protobuf runtime reads of the event file is what was written", async () => {
  const runDir = await scratchFolder();
  const place = { step: 0, evaluatedAt: {} };
  const history = await HistoryWriter.open({ runDir, place, wallClock: () => 1_800_000_000_250 });
  for (const step of [1, 2, 300]) {
    const loss = { task: step / 4, total: step };
    history.take(stepEvent(step, { loss, rates: { weights: 0.125 }, layers: { "flips/conv1": 1 / 64 } }));
  }
  await history.close();
  const file = join(runDir, readdirSync(runDir).find((name) => name.includes("tfevents")) ?? "");
  // The standard's package for ONNX brings the runtime, for the Python that its own program names.
  const [, python] = /^#!(\S+)/.exec(readFileSync(testTool("check-model"), "utf8")) ?? [];
  const script = fileURLToPath(new URL("read-events.py", import.meta.url));
  const lines = execFileSync(python ?? "python3", [script, file], { encoding: "utf8" })
    .trim()
    .split("\n");
  const events = lines.map((line) => JSON.parse(line));
  expect(events.every(({ unknownBytes }) => unknownBytes === 0)).toBe(true);
  expect(events.map(({ unknownBytes: _, ...event }) => event)).toEqual(readTensorboard(readFileSync(file)));
  expect(events[0]).toMatchObject({ fileVersion: "brain.Event:2", wallTime: 1_800_000_000.25 });
  expect(events.at(-2)).toMatchObject({ step: 300, scalars: { "loss/task": 75, "loss/total": 300 } });
  expect(events.at(-1)).toMatchObject({ step: 300, scalars: { "flips/conv1": 1 / 64 } });
});
