// What the program of the package loads when it runs, as the loader of Node sees it: a run in one process reads nothing
// of NATS.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { packageRoot } from "../../coordinator/base/package-root.ts";
import { scratchFolder, tinyFlags } from "../fixtures/test-run.ts";

const program = join(packageRoot(), "dist", "packed", "coordinator", "program", "bitswarm.js");
const hooks = `import { writeSync } from "node:fs";
export async function load(url, context, next) {
  writeSync(2, "loads " + url + "\\n");
  return next(url, context);
}`;
const asUrl = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;
const registering = asUrl(`import { register } from "node:module"; register(${JSON.stringify(asUrl(hooks))});`);

/** Files that the program has loaded by the time that it prints something. */
async function loaded(args: readonly string[], until: RegExp): Promise<readonly string[]> {
  const child = spawn(process.execPath, ["--import", registering, program, ...args], {
    cwd: await scratchFolder(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await gone;
  });
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data) => {
      said += data;
    });
  await expect.poll(() => until.test(said) || child.exitCode !== null, { timeout: 120_000 }).toBe(true);
  expect(said).toMatch(until);
  return [...said.matchAll(/^loads (file:\S+)$/gm)].map(([, url]) => fileURLToPath(url));
}

/** rolldown names the modules that are in a chunk. */
const hasNats = (file: string) => /node_modules\/@nats-io\//.test(readFileSync(file, "utf8"));

test("U18 the package's program loads no module of NATS for a run in one process, and does where servers are named", async () => {
  const { flags, runDir } = await tinyFlags();
  const start = ["start", ...flags, "--workers", "0", "--port", "0"];
  const alone = await loaded([...start, "--run-dir", runDir], /http:\S+\?token=/);
  expect(alone.length).toBeGreaterThan(2);
  expect(alone.filter(hasNats)).toEqual([]);
  const shared = await loaded([...start, "--engine", "nats://127.0.0.1:1"], /loads \S+connect\S*\.js/);
  expect(shared.filter(hasNats)).not.toEqual([]);
});
