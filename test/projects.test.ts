// A test's project follows from what it uses: devices belong to `device`, programs and browsers to `whole`, all else to
// `unit`.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { importGraph, sources } from "./rooms.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const graph = importGraph(root, ["test"]);

/** Product files that start programs or browsers themselves. */
const launchers = [
  "worker/platform/node/browser.ts",
  "worker/platform/node/browser-workers.ts",
  "worker/platform/node/deno-workers.ts",
  "coordinator/program/local-workers.ts",
];

/** A test file and the files of test/ that it imports, however far; the product behind them may hold what it likes. */
function reached(file: string): Set<string> {
  const files = new Set([file]);
  for (const each of files) for (const { target } of graph.get(each) ?? []) if (graph.has(target)) files.add(target);
  return files;
}

function uses(file: string, packages: readonly string[]): boolean {
  const text = readFileSync(path.join(root, file), "utf8");
  return [...text.matchAll(/^(?:import|\}).* from "([^"]+)"/gm)].some(([, name]) => packages.includes(name));
}

function projectOf(file: string): "unit" | "device" | "whole" {
  const all = [...reached(file)];
  const starts = (each: string) =>
    uses(each, ["node:child_process", "puppeteer"]) ||
    (graph.get(each) ?? []).some(({ target, typeOnly }) => !typeOnly && launchers.includes(target));
  if (all.some(starts)) return "whole";
  return all.some((each) => uses(each, ["webgpu"])) ? "device" : "unit";
}

test("each test file's name ends in the project that it belongs to by what it uses", () => {
  const tests = sources(root, "test").filter((file) => file.endsWith(".test.ts"));
  const named = (file: string) => /\.(device|whole)\.test\.ts$/.exec(file)?.[1] ?? "unit";
  const misnamed = tests.filter((file) => named(file) !== projectOf(file));
  expect(misnamed.map((file) => `${file} uses what only ${projectOf(file)} tests may use`)).toEqual([]);
  // All three are found, so that the rule above is not empty.
  expect(new Set(tests.map(projectOf))).toEqual(new Set(["unit", "device", "whole"]));
});
