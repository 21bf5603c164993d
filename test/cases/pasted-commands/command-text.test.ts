// A command that is printed works where it is pasted: words are quoted as the shell needs it, and the program is the
// one of this checkout.

import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";
import { commandText, setupText, shellWord } from "../../../coordinator/base/command-text.ts";
import { packageRoot } from "../../../coordinator/base/package-root.ts";
import { writeCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import { diskFiles } from "../../../coordinator/disk/durable-file.ts";
import { summaryLines } from "../../../coordinator/program/run-text.ts";
import { readStatus, statusText } from "../../../coordinator/program/status-command.ts";
import { openFreshRun, reopenRun } from "../../../coordinator/run/open-run.ts";
import { scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

const root = packageRoot();

test.each([
  ["runs/fashion-lenet-20250131-154501-3fa9", "runs/fashion-lenet-20250131-154501-3fa9"],
  ["/mnt/läufe/実験", "/mnt/läufe/実験"],
  ["my runs #1", "'my runs #1'"],
  ["it's", "'it'\\''s'"],
  ["$HOME/`id`", "'$HOME/`id`'"],
  ["a;b", "'a;b'"],
  ["~", "'~'"],
  ["", "''"],
  ["two\nlines", "'two\nlines'"],
  ["model.widths=[2,2]", "'model.widths=[2,2]'"],
])("%j is the word %s of a POSIX shell", (word, quoted) => {
  expect(shellWord(word, "linux")).toBe(quoted);
});

test.each([
  ["C:\\runs\\a", "C:\\runs\\a"],
  ["C:\\my runs\\a", '"C:\\my runs\\a"'],
  ["C:\\it's", '"C:\\it\'s"'],
  ["C:\\$x y", "'C:\\$x y'"],
])("%j is the word %s on Windows", (word, quoted) => {
  expect(shellWord(word, "win32")).toBe(quoted);
});

test("within the checkout npx finds the program; elsewhere, and in a package of its own, Node is given the file", async () => {
  const words = ["status", "my runs #1"];
  const file = join(root, "dist", "coordinator", "program", "bin.js");
  const checkout = { platform: "linux", root, program: "coordinator", path: "" } as const;
  const from = (cwd: string) => commandText("coordinator", words, { ...checkout, cwd });
  expect(from(root)).toBe("npx coordinator status 'my runs #1'");
  expect(from(join(root, "coordinator", "run"))).toBe("npx coordinator status 'my runs #1'");
  const elsewhere = await scratchFolder();
  expect(from(elsewhere)).toBe(`node ${file} status 'my runs #1'`);
  await mkdir(join(elsewhere, "node_modules"));
  await writeFile(join(elsewhere, "package.json"), "{}");
  expect(from(elsewhere)).toBe(`node ${file} status 'my runs #1'`);
  const spaced = { ...checkout, cwd: elsewhere, root: "/opt/bit swarm" };
  expect(commandText("worker", ["join", "http://h/?token=a&b"], spaced)).toBe(
    "node '/opt/bit swarm/dist/worker/platform/node/bin.js' join 'http://h/?token=a&b'",
  );
  expect(setupText({ ...checkout, cwd: root })).toBe("npm run setup");
  expect(setupText({ ...checkout, cwd: elsewhere })).toBe(`node ${join(root, "deploy", "setup.mjs")}`);
  expect(setupText({ ...checkout, cwd: root, program: "bitswarm" })).toBe("npx bitswarm setup");
  const asBitswarm = { ...checkout, program: "bitswarm" } as const;
  expect(commandText("worker", ["join", "LINK"], { ...asBitswarm, cwd: root })).toBe("npx bitswarm join LINK");
  expect(commandText("worker", ["join", "LINK"], { ...asBitswarm, cwd: elsewhere })).toBe(
    `node ${join(root, "dist", "coordinator", "program", "bitswarm.js")} join LINK`,
  );
});

test("an installed package is started by npx where it was installed or fetched, by its name where that is on PATH, else by its file", async () => {
  const home = await scratchFolder();
  const installedIn = async (...folder: string[]) => {
    const place = join(home, ...folder);
    await mkdir(join(place, "node_modules", "bitswarm"), { recursive: true });
    return place;
  };
  const from = (place: string, cwd: string, path = "") => {
    const installed = join(place, "node_modules", "bitswarm");
    return commandText("coordinator", ["status"], {
      platform: "linux",
      cwd,
      root: installed,
      program: "installed",
      path,
    });
  };
  const project = await installedIn("project");
  await writeFile(join(project, "package.json"), "{}");
  const byFile = (place: string) =>
    `node ${join(place, "node_modules/bitswarm/dist/packed/coordinator/program/bitswarm.js")} status`;
  expect(from(project, join(project, "runs"))).toBe("npx bitswarm status");
  expect(from(project, home)).toBe(byFile(project));

  const fetched = await installedIn("_npx", "0123abcd");
  const manifest = (packages: readonly string[]) =>
    writeFile(join(fetched, "package.json"), JSON.stringify({ _npx: { packages } }));
  await manifest(["/home/me/bitswarm-0.1.0.tgz"]);
  expect(from(fetched, home)).toBe("npx -p /home/me/bitswarm-0.1.0.tgz bitswarm status");
  await manifest(["bitswarm@0.1"]);
  expect(from(fetched, home)).toBe("npx bitswarm@0.1 status");
  await manifest(["bitswarm@0.1", "sharp"]);
  expect(from(fetched, home)).toBe("npx -p bitswarm@0.1 -p sharp bitswarm status");

  const global = await installedIn("prefix", "lib");
  const programs = join(home, "prefix", "bin");
  expect(from(global, home, programs)).toBe(byFile(global));
  await mkdir(programs);
  await writeFile(join(programs, "bitswarm"), "");
  expect(from(global, home, `/usr/bin${delimiter}${programs}`)).toBe("bitswarm status");
  expect(from(global, home, "/usr/bin")).toBe(byFile(global));
});

test("every place that prints a command quotes the run's folder", async () => {
  const given = await startTestRun({ maxSteps: 1 });
  await workToTheEnd(given, 1);
  const { config } = given.run.state;
  const path = join(await scratchFolder(), "my runs #1");
  const quoted = `'${path}'`;
  const open = await openFreshRun(config, path);
  const started = await startTestRun({ open, maxSteps: 1 });
  // In use, there already, and stopped.
  await expect(reopenRun(path)).rejects.toMatchObject({ message: expect.stringContaining(`status ${quoted}`) });
  await workToTheEnd(started, 1);
  await expect(openFreshRun(config, path)).rejects.toMatchObject({
    code: "RUN_EXISTS",
    message: expect.stringContaining(`resume ${quoted}`),
  });
  expect(statusText(await readStatus(path), path)).toContain(`go on: npx coordinator resume ${quoted}`);
  const summary = { ...(await started.coordination.done), finished: false };
  const lines = summaryLines(summary, started.run.directory, { binaryBytes: 1, teacherBytes: 2 }, config, 1);
  expect(lines.join("\n")).toContain(`npx coordinator resume ${quoted}`);
  expect(lines.join("\n")).toContain(`npx coordinator export ${quoted} --out`);
  const room = summaryLines(summary, started.run.directory, { binaryBytes: 1, teacherBytes: 2 }, config, 1, 80, [
    "--lan",
  ]);
  expect(room.join("\n")).toContain(`npx coordinator resume ${quoted} --lan`);
  const full = () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));
  const { state, ledger, directory } = started.run;
  const contents = encodeCheckpoint(state, directory.run);
  const extra = { run: directory.run, time: "2026-01-02T03:04:05.000Z" };
  const written = writeCheckpoint(path, contents, state, ledger, extra, { ...diskFiles, writeFile: full });
  await expect(written).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringMatching(/step-\d+ cannot be written: no space is left on the device \(ENOSPC\)/),
  });
  await expect(written).rejects.toMatchObject({ message: expect.stringContaining(`resume ${quoted}`) });
});
