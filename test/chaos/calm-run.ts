// The run that runs with mishaps are compared with: the same configuration and images, and nothing happens to it.

import { expect } from "vitest";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { madeOnce } from "../fixtures/made-once.ts";
import { tinyFlags } from "../fixtures/test-run.ts";
import { CrewProcess } from "./crew-process.ts";

/** The hash after each step that a coordinator printed. */
export function hashes(process: CoordinatorProcess): Record<number, unknown> {
  const lines = process.lines().filter(({ event }) => event === "step");
  return Object.fromEntries(lines.map(({ step, paramsHash }) => [Number(step), paramsHash]));
}

/** Of a run of the tiny configuration by two scripted workers that nothing happens to; made once a test run. */
export function calmHashes(): Promise<Record<number, unknown>> {
  return madeOnce("chaos-calm", async () => {
    const { flags, runDir } = await tinyFlags();
    const alone = ["--workers", "0", "--port", "0", "--json"];
    const run = new CoordinatorProcess(["start", ...flags, "--run-dir", runDir, ...alone]);
    const crew = new CrewProcess(await run.url(), 2, 0);
    expect((await run.exited).code).toBe(0);
    await crew.exited;
    return hashes(run);
  });
}
