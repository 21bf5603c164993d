// The program `coordinator` as a person or a script meets it: exit codes, messages, Ctrl-C, kill -9 and what is there
// afterwards.

import { spawnSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../../../coordinator/base/package-root.ts";
import { readNewestCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { readSafetensors } from "../../../shared/base/safetensors.ts";
import { CoordinatorProcess, runCoordinator } from "../../fixtures/coordinator-process.ts";
import { historyOf } from "../../fixtures/history-files.ts";
import { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { scratchFolder, tinyFlags } from "../../fixtures/test-run.ts";

const alone = ["--workers", "0", "--port", "0"];
/** A lone worker's lease is the whole step. */
const wholeSteps = ["--set", "lease.first=64", "--set", "lease.pieces=1"];

/** A worker that works as long as the coordinator lives. */
async function lend(url: string): Promise<"ended" | "closed"> {
  return (await new ScriptedWorker(url, { decodes: true }).join()).work();
}

test.each([
  [["--set", "batch=100"], /batch: must be a multiple of microbatch \(32\).*got 100/],
  [["--set", "data.augment=mirror"], /data\.augment: .*"none"\|"crop-flip".*got "mirror"/],
  [["--set", "epoch=3"], /epoch: there is no such field, did you mean epochs\? got 3/],
  [["--set", "seed"], /--set wants field=value/],
  [["nowhere.yaml"], /nowhere\.yaml cannot be read/],
  [["--behind-proxy", "run.yaml"], /--behind-proxy takes addresses and networks .*got "run\.yaml"/],
  [["--public-url", "example.org"], /--public-url takes an address like https:.*got "example\.org"/],
  [
    ["--engine", "nats://127.0.0.1:1", "--set", "trust.clip=trimmed-mean", "--set", "codec=int8"],
    /trust\.clip: trimmed-mean combines each account's part .*take auto, norm or none/,
  ],
  [["--token-file", "nowhere"], /the token of nowhere cannot be taken: ENOENT/],
])("P1 start %j is CONFIG_INVALID and names field, value and what is allowed", async (args, message) => {
  const { code, stdout, stderr } = await runCoordinator("start", ...args, ...alone);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/^error CONFIG_INVALID: /);
  expect(stderr).toMatch(message);
  expect(stderr).not.toContain("    at ");
});

test("P2 a data set that is not there is DATA_MISSING, says what to do, and leaves no run behind", async () => {
  const folder = await scratchFolder();
  const runDir = join(folder, "run");
  const { code, stderr } = await runCoordinator("start", "--set", `data.root=${folder}`, "--run-dir", runDir, ...alone);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error DATA_MISSING: .*bitswarm\.js setup`/);
  expect(await readdir(folder)).toEqual([]);
});

test("P3 a port in use is PORT_IN_USE, and the same command works once it is free", async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  const { port } = holder.address() as { port: number };
  const { flags, runDir } = await tinyFlags();
  const command = ["start", ...flags, "--run-dir", runDir, "--workers", "0", "--port", String(port)];
  const { code, stderr } = await runCoordinator(...command);
  expect(code).toBe(1);
  expect(stderr).toMatch(new RegExp(`error PORT_IN_USE: port ${port} .*--port`));
  await new Promise((resolve) => holder.close(resolve));
  const started = new CoordinatorProcess(command);
  expect(await started.url()).toContain(`:${port}/`);
});

test("P4 a run's folder that is not empty is RUN_EXISTS; one that is no run cannot be resumed", async () => {
  const { flags, runDir } = await tinyFlags();
  const occupied = join(runDir, "..", "images");
  const start = await runCoordinator("start", ...flags, "--run-dir", occupied, ...alone);
  expect([start.code, start.stderr]).toEqual([1, expect.stringMatching(/^error RUN_EXISTS: .*bitswarm\.js resume/)]);
  const resume = await runCoordinator("resume", occupied, ...alone);
  expect([resume.code, resume.stderr]).toEqual([1, expect.stringMatching(/^error CHECKPOINT_MISSING: .*run\.yaml/)]);
});

test("P5 with --json standard output has a line a step, a line an evaluation and one at the end, and nothing else", async () => {
  const { flags, runDir } = await tinyFlags();
  const run = new CoordinatorProcess(["start", ...flags, "--run-dir", runDir, ...alone, "--max-steps", "9", "--json"]);
  expect(await lend(await run.url())).toBe("ended");
  expect((await run.exited).code).toBe(0);
  const lines = run.lines();
  const done = lines.pop()!;
  const [first, ...rest] = lines.filter(({ event }) => event !== "evaluation");
  expect(Object.keys(first)).toEqual([
    "event",
    "step",
    "epoch",
    "loss",
    "samples",
    "workers",
    "paramsHash",
    "bytes",
    "loopDelayMs",
  ]);
  expect([first, ...rest].map(({ event, step, samples }) => [event, step, samples])).toEqual(
    Array.from({ length: 9 }, (_, i) => ["step", i + 1, 64 * (i + 1)]),
  );
  const top5 = { name: "top5", value: expect.closeTo(0.9), better: "higher" };
  const score = { name: "accuracy", value: 0.5, better: "higher", others: [top5] };
  expect(lines.filter(({ event }) => event === "evaluation")).toEqual([
    { event: "evaluation", step: 8, network: "teacher", score },
    { event: "evaluation", step: 9, network: "student", score },
  ]);
  expect(done).toEqual({
    event: "done",
    step: 9,
    epoch: 0,
    samples: 576,
    scores: {
      student: score,
      teacher: score,
    },
    paramsHash: rest.at(-1)!.paramsHash,
    checkpoint: join(runDir, "checkpoints", "step-9"),
  });
  const { stdout } = await runCoordinator("status", runDir);
  expect(stdout).toContain("step 9/24");
  const out = join(runDir, "..", "model.safetensors");
  expect((await runCoordinator("export", runDir, "--out", out)).code).toBe(0);
  expect([...readSafetensors(await readFile(out)).tensors.keys()]).toContain("conv2.weight.signs");
});

test("K7 kill -9 and resume end with the parameters of the run that was never killed", async () => {
  const whole = await tinyFlags();
  const first = new CoordinatorProcess(["start", ...whole.flags, "--run-dir", whole.runDir, ...alone, "--json"]);
  await lend(await first.url());
  await first.exited;
  const { flags, runDir } = await tinyFlags();
  const killed = new CoordinatorProcess(["start", ...flags, "--run-dir", runDir, ...alone, "--json"]);
  const working = lend(await killed.url());
  await killed.printed(/"step":10,/);
  killed.child.kill("SIGKILL");
  expect(await working).toBe("closed");
  await killed.exited;
  const resumed = new CoordinatorProcess(["resume", runDir, ...alone, "--json"]);
  const url = await resumed.url();
  // Volunteers come back with the link they have.
  expect(new URL(url).search).toBe(new URL(await killed.url()).search);
  expect(await lend(url)).toBe("ended");
  expect((await resumed.exited).code).toBe(0);
  expect(resumed.stderr).toMatch(/resumed from step \d+: .*step-\d+/);
  const expected = first.lines();
  const lines = resumed.lines();
  const [{ event: kind, step }] = lines;
  expect(step).toBeGreaterThan(1);
  // The sockets of the two carried what there was to say, the parameters whole to whoever came anew.
  const comparable = (line: Record<string, unknown>) => ({
    ...line,
    loopDelayMs: {},
    checkpoint: "",
    workers: 1,
    bytes: {},
  });
  const from = expected.findIndex((line) => line.event === kind && line.step === step);
  expect(lines.map(comparable)).toEqual(expected.slice(from).map(comparable));
  // What the run did is told of each step once, by the files that follow from its history, too.
  for (const folder of [whole.runDir, runDir]) expect(await historyOf(folder)).toEqual(await historyOf(whole.runDir));
});

test("K3 Ctrl-C once finishes the step, writes a checkpoint, says how to go on, and exits with 0", async () => {
  const { flags, runDir } = await tinyFlags();
  const run = new CoordinatorProcess(["start", ...flags, ...wholeSteps, "--run-dir", runDir, ...alone, "--json"]);
  const worker = await new ScriptedWorker(await run.url(), { decodes: true }).join();
  await worker.answer(await worker.lease());
  const lease = await worker.lease();
  run.child.kill("SIGINT");
  await run.printed(/stopping/);
  await worker.answer(lease);
  const { code, stderr } = await run.exited;
  expect(code).toBe(0);
  expect(stderr).toContain(`bitswarm.js resume ${runDir}`);
  expect(run.lines().at(-1)).toMatchObject({ event: "done", step: 2 });
  expect(run.lines().at(-1)).toHaveProperty("scores", {});
  expect((await readNewestCheckpoint(runDir)).manifest.step).toBe(2);
});

test.each(["SIGINT", "SIGTERM"] as const)("K3 %s ends a run promptly that waits for workers", async (signal) => {
  const { flags, runDir } = await tinyFlags();
  const run = new CoordinatorProcess(["start", ...flags, "--run-dir", runDir, ...alone]);
  await run.printed(/nobody has joined/);
  run.child.kill(signal);
  expect((await run.exited).code).toBe(0);
  expect((await readNewestCheckpoint(runDir)).manifest.step).toBe(0);
});

test("K3 Ctrl-C twice ends at once with 130, and the last checkpoint is whole", async () => {
  const { flags, runDir } = await tinyFlags();
  const run = new CoordinatorProcess(["start", ...flags, ...wholeSteps, "--run-dir", runDir, ...alone, "--json"]);
  const worker = await new ScriptedWorker(await run.url(), { decodes: true }).join();
  for (let step = 0; step < 4; step++) await worker.answer(await worker.lease());
  await worker.lease();
  run.child.kill("SIGINT");
  await run.printed(/stopping/);
  run.child.kill("SIGINT");
  expect((await run.exited).code).toBe(130);
  expect(await readNewestCheckpoint(runDir)).toMatchObject({ manifest: { step: 3 }, skipped: [] });
});

test("P6 local workers that cannot start are told of, and the run waits for volunteers", async () => {
  const { flags, runDir } = await tinyFlags();
  const args = ["start", ...flags, "--run-dir", runDir, "--port", "0", "--workers", "1", "--runtime", "browser"];
  const run = new CoordinatorProcess([...args, "--max-steps", "1"], { CHROMIUM_PATH: "/nonexistent/chromium" });
  await run.printed(/the local workers ended with exit code 1; volunteers may still join[\s\S]*RUNTIME_MISSING/);
  expect(await lend(await run.url())).toBe("ended");
  expect((await run.exited).code).toBe(0);
});

test("a machine without free descriptors, and folders that cannot be made, are told by a code, and never with a stack", async () => {
  const program = join(packageRoot(), "dist", "coordinator", "program", "bin.js");
  const { status, stdout, stderr } = spawnSync("sh", ["-c", `ulimit -n 40; exec node '${program}' status`], {
    encoding: "utf8",
  });
  expect([status, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/^error STORAGE_FAILED: \/.*: this process has too many files open .*\(EMFILE\).*\n$/);
  const { flags } = await tinyFlags();
  const refused = await runCoordinator("start", ...flags, ...alone, "--run-dir", "/proc/a/run");
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/^error STORAGE_FAILED: \/proc\/a\/run .*\n$/),
  ]);
});
