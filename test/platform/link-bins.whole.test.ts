// Rules of linking a package's own programs, on a package in a temporary folder.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { linkBins } from "../../deploy/link-bins.mjs";

const programs = { worker: "dist/cli.js", other: "dist/none.js" };

function packageFolder(): string {
  const root = mkdtempSync(path.join(tmpdir(), "bitswarm-test-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  mkdirSync(path.join(root, "node_modules"));
  mkdirSync(path.join(root, "dist"));
  writeFileSync(path.join(root, "dist/cli.js"), "#!/usr/bin/env node\nconsole.log(process.argv[2]);\n");
  return root;
}

test("linkBins makes a built program run by its name, skips one that is not built, and may run twice", () => {
  const root = packageFolder();
  expect(linkBins(root, programs)).toEqual(["worker"]);
  expect(linkBins(root, programs)).toEqual(["worker"]);
  expect(readdirSync(path.join(root, "node_modules/.bin"))).toEqual(["worker"]);
  const result = spawnSync(path.join(root, "node_modules/.bin/worker"), ["hello"], { encoding: "utf8" });
  expect(result).toMatchObject({ status: 0, stdout: "hello\n" });
});

test("linkBins writes a command file on Windows", () => {
  const root = packageFolder();
  expect(linkBins(root, programs, "win32")).toEqual(["worker"]);
  expect(readFileSync(path.join(root, "node_modules/.bin/worker.cmd"), "utf8")).toMatch(/^@node ".*cli\.js" %\*\r\n$/);
});

test("linkBins does nothing before the packages are installed", () => {
  const root = packageFolder();
  rmSync(path.join(root, "node_modules"), { recursive: true });
  expect(linkBins(root, programs)).toEqual([]);
});
