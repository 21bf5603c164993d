// A real WebGPU worker beside sockets of fresh keys that ask for leases, answer pings and nothing else: the run goes on
// as if they were not there. A lease lasts two minutes: waiting for one of theirs would take longer than the test may.

import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { WorkerProcess } from "../e2e/worker-process.ts";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { eventLines } from "../fixtures/event-lines.ts";
import { newIdentity } from "../fixtures/scripted-identity.ts";
import { ScriptedWorker } from "../fixtures/scripted-worker.ts";
import { tinyFlags } from "../fixtures/test-run.ts";

const TIMEOUT_MS = 300_000;
const HOARDERS = 9;

/** Holds two leases as long as it may, and asks for others whenever they are taken away. */
async function hoards(worker: ScriptedWorker): Promise<void> {
  worker.send({ type: "ready" });
  for (let message = await worker.take(); message !== "closed"; message = await worker.take()) {
    if (message.type === "lease") worker.send({ type: "ready", ahead: true });
    if (message.type === "cancel") worker.send({ type: "ready" });
  }
}

test(
  "one Deno worker trains to the end beside nine sockets that keep what they are lent",
  async () => {
    const { flags, runDir } = await tinyFlags();
    const run = new CoordinatorProcess([
      "start",
      ...flags,
      "--run-dir",
      runDir,
      "--workers",
      "0",
      "--port",
      "0",
      "--json",
    ]);
    const url = await run.url();
    for (let i = 0; i < HOARDERS; i++) {
      const worker = new ScriptedWorker(url, { identity: newIdentity() });
      onTestFinished(() => worker.close());
      await worker.join();
      // It is closed with the run.
      void hoards(worker).catch(() => undefined);
    }
    new WorkerProcess(url, "deno");
    const { code, stderr } = await run.exited;
    expect(code, stderr).toBe(0);
    const lines = run.lines();
    const steps = lines.filter(({ event }) => event === "step");
    expect(lines.at(-1)).toMatchObject({ event: "done", step: steps.length });
    const events = await eventLines(join(runDir, "events.ndjson"));
    expect(events.filter(({ type, cause }) => type === "requeued" && cause === "expired")).toEqual([]);
  },
  TIMEOUT_MS,
);
