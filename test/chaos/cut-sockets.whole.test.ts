// Real WebGPU workers whose sockets are cut again and again: they come back to their leases, and the parameters are
// those of a calm run.

import { expect, test } from "vitest";
import { WorkerProcess } from "../e2e/worker-process.ts";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { cuttingProxy } from "../fixtures/cutting-proxy.ts";
import { tinyFlags } from "../fixtures/test-run.ts";

const TIMEOUT_MS = 300_000;
const BETWEEN_CUTS_MS = 700;
const CUTS = 10;

/** The hash after each step of a run by two Deno workers, whose sockets are cut every so often where `cut` says so. */
async function hashes(cut: boolean): Promise<{ readonly steps: unknown[]; readonly connections: number }> {
  const { flags, runDir } = await tinyFlags();
  const args = [...flags, "--run-dir", runDir, "--workers", "0", "--port", "0", "--json"];
  const run = new CoordinatorProcess(["start", ...args]);
  const proxy = await cuttingProxy(await run.url());
  new WorkerProcess(proxy.url, "deno", { count: 2 });
  await run.printed(/"step":2,/);
  let cuts = 0;
  const timer = setInterval(() => {
    if (cut && cuts++ < CUTS) proxy.cutAll();
  }, BETWEEN_CUTS_MS);
  const { code, stderr } = await run.exited;
  clearInterval(timer);
  expect(code, stderr).toBe(0);
  const steps = run.lines().filter(({ event }) => event === "step");
  return { steps: steps.map(({ step, paramsHash }) => [step, paramsHash]), connections: proxy.passed.length };
}

test(
  "two Deno workers whose sockets are cut every 700 ms train to the same bits",
  async () => {
    const [calm, cut] = await Promise.all([hashes(false), hashes(true)]);
    expect(cut.connections).toBeGreaterThan(calm.connections);
    expect(cut.steps).toEqual(calm.steps);
  },
  TIMEOUT_MS,
);
