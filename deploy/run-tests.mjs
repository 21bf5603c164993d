// Runs vitest with the arguments given, says which files took longest, and closes with one plain line, `N passed, N
// failed`, counted from vitest's own report.

import { spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { checkoutPathProblem } from "./checkout-path.mjs";

/**
 * The closing line. A file that failed outside its tests (it would not load, or a hook threw), and a run that failed with
 * every test passed (an unhandled rejection), count as one failure each: the line never looks better than the exit code.
 *
 * @param {import("./run-tests.d.mts").Report | undefined} report
 * @param {number} exitCode
 */
export function closingLine(report, exitCode) {
  const files = report?.testResults ?? [];
  /** @param {readonly string[]} statuses */
  const count = (statuses) =>
    files.reduce((sum, file) => sum + file.assertionResults.filter((test) => statuses.includes(test.status)).length, 0);
  const passed = count(["passed"]);
  const brokenFiles = files.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  ).length;
  const counted = count(["failed"]) + brokenFiles;
  const failed = counted === 0 && exitCode !== 0 ? 1 : counted;
  const skipped = count(["skipped", "pending", "todo", "disabled"]);
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** Files named at the end. */
const LONGEST = 20;

/**
 * The files that took longest, the longest first: a line each.
 *
 * @param {import("./run-tests.d.mts").Report | undefined} report
 * @param {string} root what their names are told from
 */
export function longestFiles(report, root) {
  return (report?.testResults ?? [])
    .map(({ name, startTime, endTime }) => ({ name, ms: endTime - startTime }))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, LONGEST)
    .map(({ name, ms }) => `${(ms / 1000).toFixed(1).padStart(7)} s  ${path.relative(root, name)}`);
}

/** @param {string[]} parameters @returns {Promise<number>} */
async function main(parameters) {
  const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
  const problem = checkoutPathProblem(root, "test");
  if (problem !== undefined) {
    console.error(problem);
    console.log(closingLine(undefined, 1));
    return 1;
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bitswarm-tests-"));
  const reportFile = path.join(folder, "report.json");
  try {
    const vitest = path.join(path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
    const fixed = ["run", "--config", "test/vitest.config.ts", "--reporter=default", "--reporter=json"];
    const child = spawn(process.execPath, [vitest, ...fixed, `--outputFile.json=${reportFile}`, ...parameters], {
      cwd: root,
      stdio: "inherit",
    });
    // A terminal interrupts vitest as well as this process; a signal from elsewhere reaches only this one.
    process.on("SIGINT", () => {});
    process.on("SIGTERM", () => child.kill("SIGTERM"));
    const exitCode = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => resolve(code ?? 1));
    });
    const report = fs.existsSync(reportFile) ? JSON.parse(fs.readFileSync(reportFile, "utf8")) : undefined;
    const line = closingLine(report, exitCode);
    console.log(["Files that took longest:", ...longestFiles(report, root), ""].join("\n"));
    console.log(line);
    return exitCode === 0 && !line.includes(" 0 failed") ? 1 : exitCode;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}
