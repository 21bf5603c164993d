// Real WebGPU workers whose sockets are cut again and again: they come back to their leases, and the parameters are
// those of a calm run.

import { expect, test } from "vitest";
import { WorkerProcess } from "../e2e/worker-process.ts";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { cuttingProxy } from "../fixtures/cutting-proxy.ts";
import { tinyFlags } from "../fixtures/test-run.ts";

const TIMEOUT_MS = 300_000;
/** After each second step, so many times. */
const CUTS = 10;

/** The hash after each step of a run by two Deno workers, whose sockets are cut every other step if `cut` says so. */
async function hashes(cut: boolean): Promise<{ readonly steps: unknown[]; readonly connections: number }> {
  const { flags, runDir } = await tinyFlags();
  const args = [...flags, "--run-dir", runDir, "--workers", "0", "--port", "0", "--json"];
  const run = new CoordinatorProcess(["start", ...args]);
  const proxy = await cuttingProxy(await run.url());
  new WorkerProcess(proxy.url, "deno", { count: 2 });
  let cuts = 0;
  run.child.stdout?.on("data", () => {
    const steps = run.stdout.split('"event":"step"').length - 1;
    if (!cut || cuts >= CUTS || steps < 2 * (cuts + 1)) return;
    cuts++;
    proxy.cutAll();
  });
  const { code, stderr } = await run.exited;
  expect(code, stderr).toBe(0);
  const steps = run.lines().filter(({ event }) => event === "step");
  return { steps: steps.map(({ step, paramsHash }) => [step, paramsHash]), connections: proxy.passed.length };
}

test(
  "two Deno workers whose sockets are cut every other step train to the same bits",
  async () => {
    const [calm, cut] = await Promise.all([hashes(false), hashes(true)]);
    expect(cut.connections).toBeGreaterThan(calm.connections);
    expect(cut.steps).toEqual(calm.steps);
  },
  TIMEOUT_MS,
);
