// What the tests of the oracle's folders have in common: their cases, computed in a runtime before the tests that look
// at them, and what a case must say.

import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect } from "vitest";
import { type Runtime, reportsOf } from "./runtimes.ts";
import type { CaseReport } from "./verify-case.ts";

/** Both in turn, for `describe.each`. */
export const runtimes: readonly Runtime[] = ["deno", "browser"];

const pathOf = (folder: string, name = "") => path.join(fileURLToPath(new URL(`../${folder}/`, import.meta.url)), name);

/** Files of the cases in a folder of test/. */
export function caseFiles(folder: string): readonly string[] {
  return readdirSync(pathOf(folder)).filter((name) => name.endsWith(".safetensors"));
}

/** Has them computed before the tests of the block that calls it; their reports, by file, are there in its tests. */
export function computedBefore(
  runtime: Runtime,
  folder: string,
  files: readonly string[],
): () => ReadonlyMap<string, CaseReport> {
  let reports: ReadonlyMap<string, CaseReport> = new Map();
  beforeAll(async () => {
    reports = await reportsOf(
      runtime,
      files.map((name) => pathOf(folder, name)),
    );
  }, 300_000);
  return () => reports;
}

/** @param more than so many comparisons must be in it */
export function expectAgreement(report: CaseReport | undefined, more = 0): void {
  expect(report, "the runtime reported nothing").toBeDefined();
  expect(report?.error).toBeUndefined();
  expect(report?.notSupported).toBeUndefined();
  expect(report?.comparisons.length).toBeGreaterThan(more);
  expect(report?.comparisons.filter((c) => !c.passed)).toEqual([]);
}
