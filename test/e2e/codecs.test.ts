// Codecs that round, through the whole house: the built programs and real WebGPU workers, killed and stopped in the middle, and resumed.

import { join } from "node:path";
import { expect, test } from "vitest";
import { CoordinatorProcess, type Exit } from "../fixtures/coordinator-process.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { WorkerProcess } from "./worker-process.ts";

const TIMEOUT_MS = 240_000;

/** 4 steps of the teacher, then twice 4 of the student and 1 of the BN phase. Whole shares, so that one worker's leases are the steps. */
const fields = {
  "model.widths": [4, 8, 16],
  "data.trainSamples": 256,
  "data.testSamples": 64,
  batch: 64,
  microbatch: 16,
  "teacher.epochs": 1,
  epochs: 2,
  bnPhase: 0.25,
  "adversarial.warmupEpochs": 0,
  "checkpoint.everySteps": 2,
  "lease.pieces": 1,
  "lease.first": 64,
};
const steps = 4 + 2 * 5;
/** At a checkpoint and in the student's second epoch; after a step between two checkpoints, and in its first. */
const [stopAt, killAt] = [10, 7];

function start(runDir: string, codec: string): CoordinatorProcess {
  const flags = Object.entries(fields).flatMap(([field, value]) => ["--set", `${field}=${JSON.stringify(value)}`]);
  const command = ["start", "--json", "--workers", "0", "--port", "0", "--run-dir", runDir];
  return new CoordinatorProcess([...command, ...flags, "--set", `codec=${codec}`]);
}

function resume(runDir: string): CoordinatorProcess {
  return new CoordinatorProcess(["resume", runDir, "--json", "--workers", "0", "--port", "0"]);
}

interface Line {
  readonly event: "step" | "done";
  readonly step: number;
  readonly paramsHash: string;
  readonly testAccuracy: number | null;
}

/** The hash after each step. */
function hashes(process: CoordinatorProcess): Record<number, string> {
  const lines = process.lines() as unknown as Line[];
  return Object.fromEntries(lines.filter((l) => l.event === "step").map((l) => [l.step, l.paramsHash]));
}

function accuracy(process: CoordinatorProcess): number | null {
  const lines = process.lines() as unknown as Line[];
  return lines[lines.length - 1].testAccuracy;
}

async function succeeded(process: CoordinatorProcess): Promise<Exit> {
  const exit = await process.exited;
  expect(exit, exit.stderr).toMatchObject({ code: 0 });
  return exit;
}

async function reached(process: CoordinatorProcess, step: number): Promise<void> {
  await process.printed(new RegExp(`"event":"step","step":${step},`));
}

test.each(["f16", "int8", "sign"])(
  "K13 with the codec %s one worker's run that was killed, stopped and resumed ends with the bits of the run that was not",
  async (codec) => {
    const folder = await scratchFolder();
    const calm = start(join(folder, "calm"), codec);
    new WorkerProcess(await calm.url(), "deno");
    await succeeded(calm);
    const expected = hashes(calm);
    expect(Object.keys(expected)).toHaveLength(steps);

    const runDir = join(folder, "resumed");
    const first = start(runDir, codec);
    const victim = new WorkerProcess(await first.url(), "deno");
    await reached(first, killAt);
    first.child.kill("SIGKILL");
    await first.exited;
    victim.child.kill("SIGTERM");

    const second = resume(runDir);
    const helper = new WorkerProcess(await second.url(), "deno");
    await reached(second, stopAt);
    second.child.kill("SIGTERM");
    await succeeded(second);
    helper.child.kill("SIGTERM");

    const third = resume(runDir);
    new WorkerProcess(await third.url(), "deno");
    await succeeded(third);
    const [before, between, after] = [hashes(first), hashes(second), hashes(third)];
    expect(Math.min(...Object.keys(between).map(Number))).toBeLessThanOrEqual(killAt);
    expect({ ...before, ...between, ...after }).toEqual(expected);
    // What was done twice came out twice the same.
    for (const hashed of [before, between, after]) expect(expected).toMatchObject(hashed);
    expect(accuracy(third)).toBe(accuracy(calm));
  },
  TIMEOUT_MS,
);
