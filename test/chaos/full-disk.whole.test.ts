// A disk that is full: the built coordinator writes its run into a small file system of its own, in a mount namespace.

import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { builtProgram } from "../fixtures/programs.ts";
import { ScriptedWorker } from "../fixtures/scripted-worker.ts";
import { tinyFlags } from "../fixtures/test-run.ts";
import { calmHashes } from "./calm-run.ts";

const alone = ["--workers", "0", "--port", "0", "--json"];
/** Room for the first checkpoints of the tiny run and not for those that follow. */
const SMALL_KIB = 5000;

/** Works for whoever listens at a link that a process prints, again and again. */
async function lend(url: string): Promise<void> {
  const worker = new ScriptedWorker(url, { decodes: true });
  await (await worker.join()).work();
}

test("a full disk ends the run with STORAGE_FAILED, and with room again it resumes to the same bits", async () => {
  const expected = await calmHashes();
  const { flags, runDir } = await tinyFlags();
  const disk = join(runDir, "..", "disk");
  await mkdir(disk);
  // The namespace is the process's own: what is mounted there goes with it.
  const script = `
    mount -t tmpfs -o size=${SMALL_KIB}k none "$DISK" || exit 90
    node "$PROGRAM" start "$@" --run-dir "$DISK/run" ${alone.join(" ")} && exit 91
    mount -o remount,size=100m "$DISK" || exit 92
    exec node "$PROGRAM" resume "$DISK/run" ${alone.join(" ")}`;
  const child = spawn("unshare", ["--map-root-user", "--mount", "sh", "-c", script, "sh", ...flags], {
    env: { ...process.env, DISK: disk, PROGRAM: builtProgram("bitswarm") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let [stdout, stderr] = ["", ""];
  const seen = new Set<string>();
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
    for (const [url] of stderr.matchAll(/http:\S+\/\?token=[\w-]+/g)) {
      if (seen.has(url)) continue;
      seen.add(url);
      // The first coordinator goes away in the middle.
      lend(url).catch(() => undefined);
    }
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/error STORAGE_FAILED: \S+ cannot be written: no space is left on the device \(ENOSPC\)/);
  expect(seen.size).toBe(2);
  const steps = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { event: string; step: number; paramsHash: string })
    .filter(({ event }) => event === "step");
  expect(Object.fromEntries(steps.map(({ step, paramsHash }) => [step, paramsHash]))).toEqual(expected);
});
