// Objectives learn with methods that are not theirs: the coordinator as it is, a real worker on the tests' device,
// Fashion-MNIST. A line is a method, an objective, and the terms that each step of the student says.

import { expect, test } from "vitest";
import { deviceWorker } from "../fixtures/device-worker.ts";
import { startTestRun } from "../fixtures/test-run.ts";

const fields = {
  model: { kind: "lenet", widths: [4, 8, 32] },
  data: { kind: "fashion-mnist", trainSamples: 512, testSamples: 128 },
  batch: 32,
  microbatch: 32,
  epochs: 2,
  teacher: { epochs: 1, learningRate: 0.05 },
  optimizer: { learningRate: 0.05 },
  checkpoint: { everySteps: 1000 },
};

const table: readonly (readonly [string, Record<string, unknown>, Record<string, unknown>, readonly string[]])[] = [
  ["ttq after a teacher's weights and logits", { kind: "ttq" }, { kind: "apprentice", variant: "C" }, ["soft"]],
  ["bireal beside a twin", { kind: "bireal" }, { kind: "apprentice", variant: "A" }, ["soft", "teacher-task"]],
  ["rbcn, its teacher's maps", { kind: "rbcn" }, { kind: "features", guide: "teacher", maps: "last" }, ["features"]],
  ["zhuang, a twin that goes on in each stage", { kind: "zhuang" }, { kind: "method" }, ["logits", "teacher-task"]],
];

test.each(table)("%s learns", { timeout: 300_000 }, async (_, method, objective, terms) => {
  const { url, jsonLines, coordination } = await startTestRun({ config: { ...fields, method, objective } });
  expect(await deviceWorker(url)).toMatchObject({ kind: "ended" });
  const { scores } = await coordination.done;
  const steps = jsonLines.map((line) => JSON.parse(line)).filter(({ event }) => event === "step");
  const studied = steps.filter(({ loss }) => terms.every((term) => term in loss));
  const losses = studied.map(({ loss }) => loss.task as number);
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  // Two passes of 16 steps, whatever the stages.
  expect(studied).toHaveLength(32);
  expect(mean(losses.slice(-6))).toBeLessThan(mean(losses.slice(0, 6)));
  expect(scores.student?.value).toBeGreaterThan(0.25);
});
