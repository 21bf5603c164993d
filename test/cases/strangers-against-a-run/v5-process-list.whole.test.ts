// Every user of a machine can read the command lines of its processes: none of a run's holds a token.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { tinyFlags } from "../../fixtures/test-run.ts";
import { commandLine, descendants, environment } from "../../platform/fixtures/processes.ts";

test("P7 no token is in a command line of what a run starts, nor in what Deno inherits", async () => {
  const { flags, runDir } = await tinyFlags();
  const local = ["--workers", "1", "--runtime", "deno", "--port", "0", "--run-dir", runDir];
  const token = "chosen-by-the-operator";
  const run = new CoordinatorProcess(["start", ...flags, ...local], { BITSWARM_TOKEN: token });
  const url = await run.url();
  expect(new URL(url).searchParams.get("token")).toBe(token);
  await run.printed(/joined/);
  const operatorToken = (await readFile(join(runDir, "operator-token"), "utf8")).trim();
  const started = descendants(run.child.pid!);
  expect(started.map(commandLine).filter((line) => line.includes("deno")).length).toBeGreaterThan(0);
  for (const pid of [run.child.pid!, ...started]) {
    expect(commandLine(pid)).not.toContain(token);
    expect(commandLine(pid)).not.toContain(operatorToken);
    if (pid !== run.child.pid) expect(environment(pid)).not.toContain(token);
  }
});
