// The literature's methods the whole way: the built programs, a Deno worker, Fashion-MNIST. One of bit planes, and with
// `npm run test:long` one whose layers are those of RBCN, learn and are exported, and there go on from a checkpoint to
// the same bits; that every method learns is shown in one process (methods.device.test.ts).

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { float32Of, readSafetensors } from "../../shared/base/safetensors.ts";
import { runCoordinator } from "../fixtures/coordinator-process.ts";
import { inRotation, often } from "../fixtures/in-rotation.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { calmRun, hashes, linesOf, reached, resume, start, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

const fields = {
  "model.widths": [4, 8, 32],
  "data.trainSamples": 1024,
  "data.testSamples": 256,
  batch: 64,
  microbatch: 16,
  epochs: 2,
  "optimizer.learningRate": 0.05,
  "checkpoint.everySteps": 8,
};

const learns = [
  { kind: "ttq", scale: [2], signs: "conv2.planes" },
  { kind: "xnor", scale: [8, 1, 1, 1], signs: "conv2.weight" },
];

test.each(inRotation(learns, 0, 2))(
  "$kind trains on a Deno worker, and is exported",
  async ({ kind, scale: shape, signs }) => {
    const method = { ...fields, "method.kind": kind };
    const folder = await scratchFolder();
    const runDir = join(folder, "run");
    const run = start(runDir, method);
    const worker = new WorkerProcess(await run.url(), "deno");
    await succeeded(run);
    await worker.exited;
    const lines = linesOf(run);
    const losses = lines.filter((line) => line.event === "step").map((line) => line.loss.task);
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(losses).toHaveLength(32);
    expect(mean(losses.slice(-6))).toBeLessThan(0.8 * mean(losses.slice(0, 6)));

    const out = join(folder, "model.safetensors");
    expect(await runCoordinator("export", runDir, "--out", out)).toMatchObject({ code: 0 });
    const { tensors } = readSafetensors(await readFile(out));
    const scale = tensors.get("conv2.c");
    expect(scale?.shape).toEqual(shape);
    for (const value of float32Of(scale!)) expect(value).toBeGreaterThan(0);
    expect([...tensors.keys()].filter((name) => name.startsWith(signs))).toHaveLength(1);
  },
  300_000,
);

/** What training.whole.test.ts shows of RBCN: for others only `npm run test:long`. */
test.each(learns.slice(0, often(0, 2)))(
  "$kind that was killed resumes to the same bits",
  async ({ kind }) => {
    const method = { ...fields, "method.kind": kind };
    const runDir = join(await scratchFolder(), "killed");
    const first = start(runDir, method);
    const helper = new WorkerProcess(await first.url(), "deno");
    await reached(first, 12);
    first.child.kill("SIGKILL");
    await first.exited;
    helper.child.kill("SIGTERM");
    const second = resume(runDir);
    new WorkerProcess(await second.url(), "deno");
    await succeeded(second);
    expect(hashes(linesOf(second))[32]).toBe(hashes(await calmRun(method, "deno"))[32]);
  },
  300_000,
);
