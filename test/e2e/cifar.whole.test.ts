// Colour from the file to the checkpoint: a small ResNet learns a small CIFAR-10 with a real Deno worker.

import { join } from "node:path";
import { expect, test } from "vitest";
import { writeCifar10 } from "../fixtures/cifar-files.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { linesOf, start, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

/** Five steps an epoch: 160 images in batches of 32. */
const fields = {
  "data.kind": "cifar-10",
  "data.augment": "crop-flip",
  model: { kind: "resnet", widths: [4, 8], blocks: [1, 1] },
  "method.ablation": "R",
  batch: 32,
  microbatch: 16,
  epochs: 8,
} as const;

test("a ResNet learns a generated CIFAR-10, three channels from its files to its scores", async () => {
  const folder = await scratchFolder();
  await writeCifar10(join(folder, "cifar"), 32, 100);
  const run = start(join(folder, "run"), { ...fields, "data.root": join(folder, "cifar") });
  const worker = new WorkerProcess(await run.url(), "deno");
  await succeeded(run);
  await worker.exited;
  const steps = linesOf(run).filter(({ event }) => event === "step");
  expect(steps).toHaveLength(8 * 5);
  // Ten classes begin at ln 10 = 2.3, and one in ten is chance.
  expect(steps[0].loss.task).toBeGreaterThan(2);
  expect(linesOf(run).at(-1)?.scores.student.value).toBeGreaterThan(0.4);
}, 300_000);
