// Every oracle case of the literature's methods in every runtime that workers have: it agrees, or names what is not
// here yet.
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { type Runtime, reportsOf } from "./runtimes.ts";
import type { CaseReport } from "./verify-case.ts";

const folder = fileURLToPath(new URL("../oracle-methods/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));

/**
 * Cases of methods and operations that are not here yet, by what they want. A method that comes takes its line away.
 */
const notSupported: Readonly<Record<string, number>> = {
  "method abc": 7,
  "method lab": 4,
  "method ttq": 5,
  "method inq": 5,
  "method dorefa": 8,
  "method uniform": 6,
  "method points": 3,
  "method mask": 4,
  "activation bits": 4,
  "activation abc": 3,
  "activation box": 2,
  "output box": 1,
  "output gamma": 2,
  "distillation apprentice": 3,
  "distillation polino": 3,
  "distillation guided": 1,
  "distillation mutual": 2,
  "distillation features": 2,
  gradient_quantizer: 1,
  lab_step: 2,
  inq_step: 2,
  mask_step: 2,
};

describe.each(["deno", "browser"] as readonly Runtime[])("in %s", (runtime) => {
  let reports: ReadonlyMap<string, CaseReport> = new Map();
  beforeAll(async () => {
    reports = await reportsOf(
      runtime,
      names.map((name) => path.join(folder, name)),
    );
  }, 300_000);

  test.each(names)("%s agrees with PyTorch in float64, or is counted as not supported", (name) => {
    const report = reports.get(name);
    expect(report, "the runtime reported nothing").toBeDefined();
    expect(report?.error).toBeUndefined();
    if (report?.notSupported !== undefined) {
      expect(Object.keys(notSupported)).toContain(report.notSupported);
      return;
    }
    expect(report?.comparisons.length).toBeGreaterThan(0);
    expect(report?.comparisons.filter((c) => !c.passed)).toEqual([]);
  });

  test("what is not supported is known by name and number, and everything else was compared", () => {
    const counts: Record<string, number> = {};
    for (const { notSupported: what } of reports.values()) {
      if (what !== undefined) counts[what] = (counts[what] ?? 0) + 1;
    }
    expect(counts).toEqual(notSupported);
    const compared = [...reports.values()].filter((report) => report.notSupported === undefined);
    expect(compared).toHaveLength(18);
    expect(reports.size).toBe(90);
  });
});
