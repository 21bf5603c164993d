// What the program prints at the end is pasted into a shell, from a folder outside of the checkout; the terminal that
// it ran in is closed.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { packageRoot } from "../../../coordinator/base/package-root.ts";
import { readNewestCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { scratchFolder, tinyFlags } from "../../fixtures/test-run.ts";

const program = join(packageRoot(), "dist", "coordinator", "program", "bin.js");

interface Shell {
  readonly child: ChildProcess;
  /** Resolves with all that was printed once this has been. */
  printed(what: string): Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly text: string }>;
}

/** A command line as a person's shell takes it. */
function shell(line: string, cwd: string): Shell {
  // The shell becomes the program, so that a signal to it is one to the program.
  const child = spawn("sh", ["-c", `exec ${line}`], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (data) => {
      text += data;
    });
  }
  const ended = new Promise<{ code: number | null; text: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, text }));
  });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    child,
    ended,
    printed: async (what) => {
      await expect.poll(() => text).toContain(what);
      return text;
    },
  };
}

test("a closed terminal is as Ctrl-C, twice as well, and the command that was printed goes on with the run", async () => {
  const { flags } = await tinyFlags();
  const folder = join(await scratchFolder(), "my runs #1");
  await mkdir(folder);
  const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(" ");
  const alone = "--workers 0 --port 0";
  const started = shell(`node '${program}' start ${quoted(flags)} --run-dir 'it is one' ${alone}`, folder);
  await started.printed("Lend a GPU");
  await expect.poll(() => readdir(join(folder, "it is one", "checkpoints"))).toEqual(["step-0"]);
  started.child.kill("SIGHUP");
  started.child.kill("SIGHUP");
  const { code, text } = await started.ended;
  expect(code).toBe(0);
  expect((await readNewestCheckpoint(join(folder, "it is one"))).manifest.step).toBe(0);

  const goOn = /go on: +(.*)/.exec(text)?.[1] ?? "";
  expect(goOn).toBe(`node ${program} resume '${join(folder, "it is one")}'`);
  const resumed = shell(`${goOn} ${alone}`, folder);
  expect(await resumed.printed("Lend a GPU")).toContain("it is one");
  // Beside it: one driver, and a status by the newest run's folder.
  const second = await shell(`${goOn} ${alone}`, folder).ended;
  expect([second.code, second.text]).toEqual([1, expect.stringMatching(/^error RUN_IN_USE: .*process \d+ on/)]);
  const asked = /see how it does with `(.*?)`,/.exec(second.text)?.[1] ?? "";
  expect(await shell(asked, folder).ended).toMatchObject({ code: 0, text: expect.stringContaining("step 0/24") });
  resumed.child.kill("SIGTERM");
  expect((await resumed.ended).code).toBe(0);

  // A claim that kill -9 leaves keeps nobody out.
  const killed = shell(`${goOn} ${alone}`, folder);
  await killed.printed("Lend a GPU");
  killed.child.kill("SIGKILL");
  await killed.ended;
  const again = shell(`${goOn} ${alone}`, folder);
  expect(await again.printed("Lend a GPU")).not.toContain("waiting up to");
  again.child.kill("SIGHUP");
  expect((await again.ended).code).toBe(0);
});

test("a terminal that is torn down takes no run with it: the step is finished, and the folder let go", async () => {
  const { flags, runDir } = await tinyFlags();
  const words = [program, "start", ...flags, "--run-dir", runDir, "--workers", "0", "--port", "0"];
  // script(1) is a terminal; killed, it is one that was torn down.
  const line = ["node", ...words.map((word) => `'${word}'`)].join(" ");
  const terminal = spawn("script", ["-qec", line, "/dev/null"], { stdio: ["pipe", "pipe", "ignore"] });
  let text = "";
  terminal.stdout.on("data", (data) => {
    text += data;
  });
  await expect.poll(() => text).toContain("Lend a GPU");
  await expect.poll(() => readdir(join(runDir, "checkpoints"))).toEqual(["step-0"]);
  const claim = async () => (await readFile(join(runDir, "claim-1"), "utf8")).split("\n");
  const { pid } = JSON.parse((await claim())[0]);
  terminal.kill("SIGKILL");
  await expect.poll(async () => (await claim())[1].trim()).toBe("released");
  await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
});
