// Codecs that round, through the whole house: the built programs and real WebGPU workers, killed and stopped in the
// middle, and resumed.

import { join } from "node:path";
import { expect, test } from "vitest";
import { inRotation } from "../fixtures/in-rotation.ts";
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

/** Whole shares, so that one worker's leases are the steps. */
const fields = { ...smallRun, "checkpoint.everySteps": 2, "lease.pieces": 1, "lease.first": 64 };
/** At a checkpoint and in the student's second epoch; after a step between two checkpoints, and in its first. */
const [stopAt, killAt] = [10, 7];

/** The student's, at the end. */
function accuracy(lines: readonly Line[]): number {
  return lines[lines.length - 1].scores.student.value;
}

/** Signs have the more to keep: what a worker could not say goes on to its next lease. Both: `npm run test:long`. */
test.each(inRotation(["sign", "int8"], 0, 2))(
  "K13 with the codec %s one worker's run that was killed, stopped and resumed ends with the bits of the run that was not",
  async (codec) => {
    const calm = await calmRun({ ...fields, codec }, "deno");
    const expected = hashes(calm);
    expect(Object.keys(expected)).toHaveLength(smallRunSteps);

    const runDir = join(await scratchFolder(), "resumed");
    const first = start(runDir, { ...fields, codec });
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
    const [before, between, after] = [first, second, third].map((run) => hashes(linesOf(run)));
    expect(Math.min(...Object.keys(between).map(Number))).toBeLessThanOrEqual(killAt);
    expect({ ...before, ...between, ...after }).toEqual(expected);
    // What was done twice came out twice the same.
    for (const hashed of [before, between, after]) expect(expected).toMatchObject(hashed);
    expect(accuracy(linesOf(third))).toBe(accuracy(calm));
  },
  TIMEOUT_MS,
);
