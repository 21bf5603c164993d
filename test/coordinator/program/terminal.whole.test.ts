// A whole run as a person sees it in a window of 80 columns, and as somebody watches it from elsewhere.

import { spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { packageRoot } from "../../../coordinator/base/package-root.ts";
import { displayWidth } from "../../../shared/base/terminal-text.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { Screen } from "../../fixtures/screen.ts";
import { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { tinyFlags } from "../../fixtures/test-run.ts";

const ESCAPE = "\u001b";
const program = `${packageRoot()}/dist/coordinator/program/bin.js`;
const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** The program in a window of 80 columns; what it writes there. */
function inWindow(args: readonly string[], environment: Readonly<Record<string, string>>) {
  return shellInWindow(`exec ${[process.execPath, program, ...args].map(quoted).join(" ")}`, environment);
}

/** Commands of a shell in a window of 80 columns, as `script` makes one. */
function shellInWindow(command: string, environment: Readonly<Record<string, string>>) {
  const { CI: _ci, NO_COLOR: _no, FORCE_COLOR: _force, ...inherited } = process.env;
  const child = spawn("script", ["-qec", `stty cols 80 rows 30; ${command}`, "/dev/null"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...inherited, ...environment },
  });
  const seen = { text: "" };
  child.stdout.on("data", (data) => {
    seen.text += data;
  });
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  return { seen, exited };
}

test("in a window of 80 columns a run has a line an epoch, colour, and no wide line; a dumb one gets plain lines", async () => {
  const { flags, runDir } = await tinyFlags();
  const run = inWindow(["start", ...flags, "--run-dir", runDir, "--workers", "0", "--port", "0"], { TERM: "xterm" });
  const link = () => /http:\S+\?token=[\w-]+/.exec(stripVTControlCharacters(run.seen.text))?.[0];
  await expect.poll(link).toBeDefined();
  const dumb = inWindow(["status", runDir, "--watch"], { TERM: "dumb" });
  const piped = new CoordinatorProcess(["status", runDir, "--watch", "--json"]);
  await expect.poll(() => dumb.seen.text).toContain("step 0/24");
  await expect.poll(() => piped.lines().length).toBeGreaterThan(0);
  const worker = await new ScriptedWorker(link()!, { decodes: true }).join();
  expect(await worker.work()).toBe("ended");
  expect(await run.exited).toBe(0);

  const screen = new Screen(true, 80);
  screen.write(run.seen.text.replaceAll("\r\n", "\n"));
  const lines = screen.text();
  const epochs = lines.filter((line) => /^(teacher|1-bit student|batch norm) \d\/2: /.test(line));
  expect(epochs.map((line) => line.split(":")[0])).toEqual([
    "teacher 1/2",
    "teacher 2/2",
    "1-bit student 1/2",
    "batch norm 1/2",
    "1-bit student 2/2",
    "batch norm 2/2",
  ]);
  expect(epochs.at(-1)).toMatch(/^batch norm 2\/2: loss \d\S*, accuracy 50\.0 %, top-5 90\.0 % \(best 50\.0 %\)/);
  expect(run.seen.text).toContain(`${ESCAPE}[32m`);
  // The block was redrawn, and is gone.
  expect(run.seen.text).toContain(`${ESCAPE}[J`);
  expect(lines.join("\n")).not.toContain("samples/s");
  // What is copied stays whole.
  const copied = [runDir, "?token=", "coordinator resume", "coordinator export"];
  const wide = lines.filter((line) => displayWidth(line) >= 80 && !copied.some((text) => line.includes(text)));
  expect(wide).toEqual([]);

  // Those who look on end with the run.
  expect(await dumb.exited).toBe(0);
  expect(dumb.seen.text).toContain("has come to its end: step 24/24");
  expect(dumb.seen.text).not.toContain(ESCAPE);
  expect((await piped.exited).code).toBe(0);
  expect(piped.lines()[0]).toMatchObject({ state: "waiting", step: 0, steps: 24 });
});

test("the help of every command fits a window of 80 columns, but for commands to copy", async () => {
  // It has those of the worker, too.
  const file = `${packageRoot()}/dist/coordinator/program/bitswarm.js`;
  const run = (words: string) => `${quoted(process.execPath)} ${quoted(file)} ${words}`;
  const first = shellInWindow(run("--help"), { TERM: "xterm" });
  expect(await first.exited).toBe(0);
  const [, listed = ""] = stripVTControlCharacters(first.seen.text).split(/^Commands:/m);
  const names = [...listed.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name]) => name);
  const commands = names.filter((name) => name !== "setup" && name !== "help");
  expect(commands).toEqual(expect.arrayContaining(["start", "compare", "join", "doctor"]));
  const all = shellInWindow(commands.map((name) => run(`${name} --help`)).join("; "), { TERM: "xterm" });
  expect(await all.exited).toBe(0);
  const text = stripVTControlCharacters(first.seen.text + all.seen.text).replaceAll("\r", "");
  expect(text.match(/^Usage: /gm)?.length).toBe(commands.length + 1);
  const wide = text.split("\n").filter((line) => displayWidth(line) > 80 && !/^ *\$ /.test(line));
  expect(wide).toEqual([]);
});
