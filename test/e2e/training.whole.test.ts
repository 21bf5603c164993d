// The whole way through the house with nothing replaced: the built programs, real WebGPU workers, Fashion-MNIST.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCommitLog, standingCommits } from "../../coordinator/checkpoint/commit-log.ts";
import { intervalSet } from "../../shared/base/intervals.ts";
import { runCoordinator } from "../fixtures/coordinator-process.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import {
  calmRun,
  hashes,
  type Line,
  linesOf,
  reached,
  resume,
  smallRun,
  smallRunSteps,
  start,
  succeeded,
} from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

const TIMEOUT_MS = 300_000;

const short = { ...smallRun, "checkpoint.everySteps": 4 };

/** Checks from the commit log alone that each pass committed each of its samples once. */
async function expectEverySampleOnce(runDir: string, passes: readonly number[]): Promise<void> {
  const commits = standingCommits(await readCommitLog(runDir));
  const committed = passes.map((_, pass) =>
    commits.flatMap((c) => (c.type === "step" && c.pass === pass ? c.ranges : [])).map(([from, to]) => ({ from, to })),
  );
  // An interval set refuses a range that is in it already.
  expect(committed.map((ranges) => intervalSet(ranges).toJSON())).toEqual(passes.map((samples) => [[0, samples]]));
}
/** The student's, at the end. */
const scoreOf = (lines: readonly Line[]) => lines[lines.length - 1].scores.student.value;

const shortPasses = [256, 256, 64, 256, 64];

test(
  "one Chromium and one Deno worker train the teacher and the 1-bit student: loss falls, accuracy is far above chance",
  async () => {
    const runDir = join(await scratchFolder(), "run");
    const run = start(runDir, { ...short, "data.trainSamples": 1536, "data.testSamples": 256, epochs: 2 });
    const url = await run.url();
    const tab = new WorkerProcess(url, "browser");
    // Deno is the quicker: alone it might be through before the other has come.
    await run.printed(/joined: .*, browser, /);
    const workers = [tab, new WorkerProcess(url, "deno")];
    await succeeded(run);
    const lines = linesOf(run);
    const losses = lines.filter((l) => l.event === "step").map((l) => l.loss.task);
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    // The student's passes begin after the teacher's 24 steps.
    expect(mean(losses.slice(-8))).toBeLessThan(0.75 * mean(losses.slice(24, 28)));
    expect(Math.max(...lines.map((l) => l.workers ?? 0))).toBe(2);
    const done = lines[lines.length - 1];
    expect(done.event).toBe("done");
    expect(done.scores.student.value).toBeGreaterThan(0.4);
    expect(done.scores.teacher.value).toBeGreaterThan(0.5);
    expect(existsSync(join(done.checkpoint, "model.safetensors"))).toBe(true);
    for (const worker of workers) expect(await worker.exited, worker.output).toBe(0);

    const out = join(runDir, "model.safetensors");
    expect(await runCoordinator("export", runDir, "--out", out)).toMatchObject({ code: 0 });
    expect(existsSync(out)).toBe(true);
  },
  TIMEOUT_MS,
);

test(
  "one tab and two give the same parameters after every step, bit for bit",
  async () => {
    const one = await calmRun(short, "browser");
    const runDir = join(await scratchFolder(), "run");
    const run = start(runDir, short);
    const pair = new WorkerProcess(await run.url(), "browser", { count: 2, json: true });
    await succeeded(run);
    expect(pair.output).toMatch(/\{"event":"given","runtime":"browser","slot":[12],"samples":[1-9]/);
    const two = linesOf(run);
    expect(Object.keys(hashes(one))).toHaveLength(smallRunSteps);
    expect(hashes(two)).toEqual(hashes(one));
    expect(scoreOf(two)).toBe(scoreOf(one));
    await expectEverySampleOnce(runDir, shortPasses);
  },
  TIMEOUT_MS,
);

test(
  "two Deno workers of which one is killed in its lease, and a coordinator that is too, end with one worker's bits",
  async () => {
    const calm = await calmRun(short, "deno");
    const runDir = join(await scratchFolder(), "killed");
    const first = start(runDir, short);
    // In Deno, which keeps what it measured, the two measure their kernels: that changes no bit either.
    const pair = new WorkerProcess(await first.url(), "deno", { count: 2, tune: true });
    await reached(first, 2);
    process.kill(pair.children()[0]!, "SIGKILL");
    await reached(first, 6);
    first.child.kill("SIGKILL");
    await first.exited;
    pair.child.kill("SIGTERM");

    const resumed = resume(runDir);
    new WorkerProcess(await resumed.url(), "deno");
    await succeeded(resumed);
    const [expected, before, after] = [calm, linesOf(first), linesOf(resumed)].map(hashes);
    expect(Object.keys(expected!)).toHaveLength(smallRunSteps);
    expect(Object.values(before!).length).toBeGreaterThanOrEqual(6);
    expect({ ...before, ...after }).toEqual(expected);
    expect(after).toEqual(Object.fromEntries(Object.entries(expected!).filter(([step]) => step in after!)));
    expect(scoreOf(linesOf(resumed))).toBe(scoreOf(calm));
    await expectEverySampleOnce(runDir, shortPasses);
  },
  TIMEOUT_MS,
);
