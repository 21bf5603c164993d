// A run's folder that a stranger made, with files that have no end: the programs refuse them at once.

import { execFileSync } from "node:child_process";
import { readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startLocalWorkers } from "../../../coordinator/program/local-workers.ts";
import { runCoordinator } from "../../fixtures/coordinator-process.ts";
import { scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

const alone = ["--workers", "0", "--port", "0"];

test("a fifo that nobody writes to keeps neither resume nor status nor export waiting", async () => {
  const started = await startTestRun({ maxSteps: 2, config: { checkpoint: { everySteps: 100, keep: 1 } } });
  const { checkpoint } = await workToTheEnd(started, 1);
  const { path } = started.run.directory;
  const out = join(await scratchFolder(), "out.safetensors");
  const commands = [
    ["resume", path, ...alone],
    ["status", path],
    ["export", path, "--out", out],
  ];
  const file = join(checkpoint, "model.safetensors");
  await rename(file, `${path}-model`);
  execFileSync("mkfifo", [file]);
  for (const command of commands) {
    const { code, stderr } = await runCoordinator(...command);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^error CHECKPOINT_CORRUPT: (?:.|\n)*model\.safetensors is a fifo/),
    ]);
    expect(stderr).not.toContain("    at ");
  }
  await rm(file);
  await rename(`${path}-model`, file);
  for (const name of ["commits.ndjson", "run.yaml", "events.ndjson"]) {
    await rename(join(path, name), `${path}-kept`);
    execFileSync("mkfifo", [join(path, name)]);
    const { code, stderr } = await runCoordinator("resume", path, ...alone);
    expect([name, code, stderr]).toEqual([
      name,
      1,
      expect.stringMatching(new RegExp(`^error [A-Z_]+: .*${name} is a`)),
    ]);
    await rm(join(path, name));
    await rename(`${path}-kept`, join(path, name));
  }
});

test("the log of the local workers that is a link is refused before any is started", async () => {
  const folder = await scratchFolder();
  const own = join(folder, "own");
  await writeFile(own, "the user's own words\n");
  const logPath = join(folder, "workers.log");
  await symlink(own, logPath);
  const options = { url: "http://127.0.0.1:1/?token=t", count: 1, runtime: "auto", onEarlyEnd: () => {} } as const;
  expect(() => startLocalWorkers({ ...options, logPath })).toThrow(/workers\.log is a link/);
  expect(await readFile(own, "utf8")).toBe("the user's own words\n");
});
