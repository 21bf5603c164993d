// Every oracle case of the repository in every runtime that workers have, as part of the tests.
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { type Runtime, reportsOf } from "./runtimes.ts";
import type { CaseReport } from "./verify-case.ts";

const folder = fileURLToPath(new URL("../oracle/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));

describe.each(["deno", "browser"] as readonly Runtime[])("in %s", (runtime) => {
  let reports: ReadonlyMap<string, CaseReport> = new Map();
  beforeAll(async () => {
    reports = await reportsOf(
      runtime,
      names.map((name) => path.join(folder, name)),
    );
  }, 300_000);

  test.each(names)("%s agrees with PyTorch in float64", (name) => {
    const report = reports.get(name);
    expect(report, "the runtime reported nothing").toBeDefined();
    expect(report?.error).toBeUndefined();
    expect(report?.comparisons.length).toBeGreaterThan(0);
    expect(report?.comparisons.filter((c) => !c.passed)).toEqual([]);
  });
});
