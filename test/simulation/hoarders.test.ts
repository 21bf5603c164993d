// Volunteers who keep what they are lent, against one who works: counted in steps a minute of virtual time.

import { expect, test } from "vitest";
import { type Misdeed, parseScenario } from "../../coordinator/simulate/scenario.ts";
import { simulate } from "../../coordinator/simulate/world.ts";

const STEPS = 60;
const MICROBATCHES = 4;
/** Of its steps alone that the one who works keeps. */
const KEPT = 0.9;

const calm = {
  name: "hoarders",
  steps: STEPS,
  stepSeconds: 1,
  microbatch: 16,
  joinSeconds: 1,
  speed: { slowest: 200, spread: 1, jitter: 0 },
  link: { latencyMs: [40, 40], jitterMs: 0, uploadMbps: [20, 20], downloadMbps: [50, 50] },
};

async function stepsAMinute(run: Record<string, unknown>, misdeed: Misdeed, hoarders: number): Promise<number> {
  const volunteers = hoarders + 1;
  const batch = MICROBATCHES * calm.microbatch;
  const data = { kind: "idx", trainSamples: batch * STEPS, testSamples: 64 };
  const liars = hoarders === 0 ? {} : { [misdeed]: hoarders / volunteers };
  const report = await simulate(parseScenario({ ...calm, volunteers, liars, run: { batch, data, ...run } }, "test"), 1);
  expect(report.violations).toEqual([]);
  expect(report.steps).toBe(STEPS);
  return (60 * report.steps) / report.seconds;
}

const alone = new Map<string, Promise<number>>();

function stepsAMinuteAlone(run: Record<string, unknown>): Promise<number> {
  const key = JSON.stringify(run);
  const known = alone.get(key) ?? stepsAMinute(run, "hoard", 0);
  alone.set(key, known);
  return known;
}

const local = { sync: { kind: "local" } };

test.each([
  { misdeed: "hoard", hoarders: 5, run: {} },
  { misdeed: "hoard", hoarders: 9, run: {} },
  { misdeed: "hoard", hoarders: 90, run: {} },
  { misdeed: "hoard", hoarders: 9, run: local },
  { misdeed: "hoard", hoarders: 9, run: { codec: "f32" } },
  { misdeed: "silent", hoarders: 5, run: {} },
  { misdeed: "silent", hoarders: 90, run: {} },
  { misdeed: "loris", hoarders: 9, run: {} },
  { misdeed: "tease", hoarders: 9, run: {} },
  { misdeed: "bounce", hoarders: 9, run: {} },
  { misdeed: "bounce", hoarders: 9, run: local },
] as const)(
  "V15 one honest volunteer beside $hoarders that do $misdeed keeps nine steps in ten, with $run",
  { timeout: 60_000 },
  async ({ misdeed, hoarders, run }) => {
    expect(await stepsAMinute(run, misdeed, hoarders)).toBeGreaterThanOrEqual(KEPT * (await stepsAMinuteAlone(run)));
  },
);
