// A run of the built `coordinator` that volunteers join: started or resumed without workers of its own, and what its
// JSON lines say.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { expect } from "vitest";
import { CoordinatorProcess, type Exit } from "../fixtures/coordinator-process.ts";
import { madeOnce } from "../fixtures/made-once.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A few steps of the smallest LeNet on Fashion-MNIST. */
export const smallRun = {
  "model.widths": [4, 8, 16],
  "data.trainSamples": 256,
  "data.testSamples": 64,
  batch: 64,
  microbatch: 16,
  "teacher.epochs": 1,
  epochs: 2,
  bnPhase: 0.25,
  "adversarial.warmupEpochs": 0,
} as const;
/** Of smallRun: 4 of the teacher, then twice 4 of the student and 1 of the BN phase. */
export const smallRunSteps = 4 + 2 * 5;

const open = ["--json", "--workers", "0", "--port", "0"];

/** @param fields of the configuration, by path */
export function start(runDir: string, fields: Readonly<Record<string, unknown>>): CoordinatorProcess {
  const flags = Object.entries(fields).flatMap(([field, value]) => ["--set", `${field}=${JSON.stringify(value)}`]);
  return new CoordinatorProcess(["start", ...open, "--run-dir", runDir, ...flags]);
}

export function resume(runDir: string): CoordinatorProcess {
  return new CoordinatorProcess(["resume", runDir, ...open]);
}

export interface Line {
  readonly event: "step" | "done";
  readonly step: number;
  readonly samples: number;
  readonly workers: number;
  readonly paramsHash: string;
  readonly loss: { readonly task: number; readonly total: number };
  readonly scores: Readonly<Record<string, { readonly name: string; readonly value: number }>>;
  readonly checkpoint: string;
}

/** Of its steps and of its end. */
export function linesOf(process: CoordinatorProcess): Line[] {
  return process.lines().filter(({ event }) => event !== "evaluation") as unknown as Line[];
}

/** The hash after each step. */
export function hashes(lines: readonly Line[]): Record<number, string> {
  return Object.fromEntries(lines.filter((l) => l.event === "step").map((l) => [l.step, l.paramsHash]));
}

export async function succeeded(process: CoordinatorProcess): Promise<Exit> {
  const exit = await process.exited;
  expect(exit, exit.stderr).toMatchObject({ code: 0 });
  return exit;
}

export async function reached(process: CoordinatorProcess, step: number): Promise<void> {
  await process.printed(new RegExp(`"event":"step","step":${step},`));
}

/** What a run by one worker says that nothing disturbs; the same fields and runtime run once a test run. */
export function calmRun(fields: Readonly<Record<string, unknown>>, runtime: "deno" | "browser"): Promise<Line[]> {
  const name = createHash("sha256")
    .update(JSON.stringify([fields, runtime]))
    .digest("hex")
    .slice(0, 16);
  return madeOnce(`calm-${name}`, async () => {
    const run = start(join(await scratchFolder(), "calm"), fields);
    new WorkerProcess(await run.url(), runtime);
    await succeeded(run);
    return linesOf(run);
  });
}
