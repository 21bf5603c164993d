// Every oracle case of tracking that needs no device, in this process: `npm run verify` has them in the runtimes that
// workers have.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readOracleCase } from "../oracle-case.ts";
import { trackingOperations } from "./operations.ts";

const folder = fileURLToPath(new URL("../../oracle-tracking/", import.meta.url));
const cases = readdirSync(folder)
  .filter((name) => name.endsWith(".safetensors"))
  .map((name) => ({ name, read: () => readOracleCase(readFileSync(path.join(folder, name))) }))
  .filter(({ name }) => name.replace(/^\d+-|\.safetensors$/g, "") in trackingOperations);

test.each(cases)("$name agrees with NumPy in float64", ({ read }) => {
  const oracle = read();
  const comparisons = trackingOperations[oracle.op](oracle);
  expect(comparisons.length).toBeGreaterThan(0);
  expect(comparisons.filter(({ passed }) => !passed)).toEqual([]);
});

test("every operation of the table has a case", () => {
  const found = new Set(cases.map(({ name }) => name.replace(/^\d+-|\.safetensors$/g, "")));
  expect([...found].sort()).toEqual(Object.keys(trackingOperations).sort());
});
