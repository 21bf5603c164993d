// `sync: local` with nothing replaced: the built programs, real WebGPU workers that take inner steps, Fashion-MNIST.

import { join } from "node:path";
import { expect, test } from "vitest";
import type { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { calmRun, hashes, type Line, linesOf, reached, resume, start, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

const TIMEOUT_MS = 300_000;

/** 2 rounds of the teacher, then 2 of the student and 1 of the BN phase, each epoch; rounds are of 16 microbatches. */
const fields = {
  "sync.kind": "local",
  "sync.outer.learningRate": 1,
  "sync.outer.momentum": 0.5,
  "model.widths": [4, 8, 16],
  "data.trainSamples": 512,
  "data.testSamples": 128,
  batch: 256,
  microbatch: 16,
  "teacher.epochs": 2,
  epochs: 3,
  bnPhase: 0.5,
  "adversarial.warmupEpochs": 0,
  "checkpoint.everySteps": 2,
};
const steps = 2 * 2 + 3 * 3;

async function finished(process: CoordinatorProcess): Promise<Line[]> {
  await succeeded(process);
  return linesOf(process);
}

test(
  "two workers of either kind train, and one that resumes after kill -9 ends with the same bits",
  async () => {
    const folder = await scratchFolder();
    const pair = start(join(folder, "pair"), fields);
    const url = await pair.url();
    new WorkerProcess(url, "browser");
    new WorkerProcess(url, "deno");
    const trained = await finished(pair);
    expect(Object.keys(hashes(trained))).toHaveLength(steps);
    const losses = trained.filter((l) => l.event === "step").map((l) => l.loss.task);
    // The student's rounds begin after the teacher's four.
    expect(losses[steps - 2]).toBeLessThan(losses[4]);
    expect(trained[trained.length - 1].scores.student.value).toBeGreaterThan(0.25);

    const expected = hashes(await calmRun(fields, "deno"));

    const runDir = join(folder, "killed");
    const first = start(runDir, fields);
    const victim = new WorkerProcess(await first.url(), "deno");
    await reached(first, 7);
    first.child.kill("SIGKILL");
    await first.exited;
    victim.child.kill("SIGTERM");
    const resumed = resume(runDir);
    new WorkerProcess(await resumed.url(), "deno");
    const after = hashes(await finished(resumed));
    expect(after).toEqual(Object.fromEntries(Object.entries(expected).filter(([step]) => step in after)));
    expect(Object.keys(after)).toContain(String(steps));
  },
  TIMEOUT_MS,
);
