// Many small worlds, each drawn from its seed: faults, partitions, restarts, damaged messages and liars.

import { expect, test } from "vitest";
import { failureText } from "../../coordinator/simulate/report.ts";
import { variedScenario } from "../../coordinator/simulate/varied-scenario.ts";
import { simulate } from "../../coordinator/simulate/world.ts";

/** `npm run test:long` plays 300. */
const SEEDS = Number(process.env.BITSWARM_SEEDS ?? 12);

test(`V9 ${SEEDS} seeds keep every invariant`, { timeout: 600_000 + 4000 * SEEDS }, async () => {
  expect(SEEDS).toBeGreaterThan(0);
  const failures: string[] = [];
  for (let seed = 0; seed < SEEDS; seed++) {
    const report = await simulate(variedScenario(seed), seed);
    if (!report.ok) failures.push(failureText(report, "npx coordinator simulate --varied"));
  }
  expect(failures.join("\n")).toBe("");
});
