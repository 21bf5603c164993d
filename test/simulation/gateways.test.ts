// A leader and gateways in a simulated world: their own code, on a bus in memory that loses, doubles and delays, with a
// head that is swapped; whatever befalls them, every sample counts once and the bits are those of one process.

import { expect, test } from "vitest";
import { standsFor } from "../../coordinator/simulate/crowds.ts";
import { reportText } from "../../coordinator/simulate/report.ts";
import { parseScenario } from "../../coordinator/simulate/scenario.ts";
import { simulate } from "../../coordinator/simulate/world.ts";
import { rng } from "../../shared/base/rng.ts";

const scenarioOf = (fields: Record<string, unknown>) => parseScenario(fields, "test");
const run = {
  batch: 512,
  data: { kind: "idx", trainSamples: 1500, testSamples: 32 },
  codec: "exact",
  lease: { timeoutMs: 20_000 },
  heartbeatMs: 5000,
};
const small = { volunteers: 8, steps: 3, passes: 2, stepSeconds: 2, speed: { slowest: 20, spread: 4 }, run };

/** Seeds of chaos: a few here, more where they are asked for. */
const SEEDS = Math.min(Number(process.env.BITSWARM_SEEDS ?? 3), 60);

/** What befalls a world of so many gateways, drawn from a seed. */
function chaos(seed: number, gateways: number) {
  const draws = rng("chaos of gateways", seed);
  const kinds = ["gateway-killed", "gateway-cut", "leader-cut", "store-down", "store-emptied"] as const;
  const at = (index: number) => 2 + 5 * index + 4 * draws.uniform();
  const mishaps = Array.from({ length: 5 }, (_, index) => ({
    atSeconds: at(index),
    seconds: 0.5 + 4 * draws.uniform(),
    what: kinds[draws.below(kinds.length)],
    gateway: draws.below(gateways),
  }));
  return {
    mishaps,
    restarts: [{ atSeconds: 4 + 14 * draws.uniform(), downSeconds: 2.5 + draws.uniform() }],
    standbys: seed % 2,
    bus: {
      delayMs: [0.2, 1 + 40 * draws.uniform()],
      lose: 0.05 * draws.uniform(),
      duplicate: 0.05 * draws.uniform(),
      overtake: 0.2 * draws.uniform(),
    },
    drops: { share: 0.05 },
  };
}

test("V19 with `exact`, one parameter hash for one coordinator and for 1, 3 and 8 gateways", async () => {
  const alone = await simulate(scenarioOf(small), 4);
  for (const gateways of [1, 3, 8]) {
    const report = await simulate(scenarioOf({ ...small, gateways }), 4);
    expect(report).toMatchObject({ violations: [], samplesLost: 0, samplesDoubled: 0, paramsHash: alone.paramsHash });
    expect(report.samples).toBe(alone.samples);
    expect(reportText(report)).toMatch(/leader +\d+\.\d ms of CPU a step.*\n +a gateway +\d/);
  }
});

test.for(Array.from({ length: SEEDS }, (_, seed) => seed))(
  "V19 chaos of seed %i: killed, cut off, lost and doubled, nothing is missing and nothing twice",
  async (seed) => {
    const alone = await simulate(scenarioOf(small), seed);
    const gateways = [1, 3, 8][seed % 3];
    const report = await simulate(
      scenarioOf({ ...small, patienceSeconds: 120, gateways, ...chaos(seed, gateways) }),
      seed,
    );
    expect(report).toMatchObject({ violations: [], samplesLost: 0, samplesDoubled: 0, paramsHash: alone.paramsHash });
  },
);

test.for([1, 2])(
  "V21 gateways that go on while others compute what they hold add nothing twice, whose answers ever came last: seed %i",
  async (seed) => {
    // Longer than they are waited for, and until after an instalment.
    const cut = (gateway: number) => ({ what: "gateway-cut", gateway, atSeconds: 4 + 12 * gateway, seconds: 8 });
    const world = { volunteers: 24, gateways: 3, steps: 3, stepSeconds: 12, mishaps: [cut(0), cut(1), cut(2)] };
    const fields = { ...world, patienceSeconds: 120, run: { codec: "exact", lease: { timeoutMs: 20_000 } } };
    const report = await simulate(scenarioOf(fields), seed);
    expect(report).toMatchObject({ violations: [], samplesLost: 0, samplesDoubled: 0 });
  },
);

test("V19 a sum that is added twice at the leader is seen", async () => {
  let last = "";
  const report = await simulate(scenarioOf({ ...small, gateways: 2 }), 1, {
    record: (record) => {
      if (record.type !== "step") return record;
      const ranges = record.ranges.map(([from, to], index): [number, number] => (index === 0 ? [0, to] : [from, to]));
      last = record.paramsHash;
      return { ...record, ranges };
    },
  });
  expect(last).not.toBe("");
  expect(report.violations.join()).toMatch(/was committed 2 times|names \d+ samples and ranges of/);
});

/** Of `npm run test:long`, where seeds are asked for; and a small share of it. */
const LARGE = SEEDS > 3;

test("V20 goodput over gateways is near that of one process, and each process's CPU is told against the plan", async () => {
  const world = {
    volunteers: LARGE ? 1000 : 60,
    steps: LARGE ? 8 : 5,
    stalls: { share: 0.02, seconds: [20, 120] },
    drops: { share: 0.01 },
  };
  const alone = await simulate(scenarioOf(world), 2);
  const report = await simulate(scenarioOf({ ...world, gateways: LARGE ? 10 : 3, standbys: 1 }), 2);
  expect(report).toMatchObject({ violations: [], samplesLost: 0, samplesDoubled: 0 });
  expect(report.steadyGoodput).toBeGreaterThan(alone.steadyGoodput - 0.1);
  const names = report.processes.map(({ name }) => name);
  expect(names.slice(0, 4)).toEqual(["leader", "a standby", "g-0", "g-1"]);
  for (const { cpuMsPerStep, coreShare } of report.processes) {
    expect(cpuMsPerStep).toBeGreaterThan(0);
    expect(coreShare).toBeCloseTo((cpuMsPerStep * report.steps) / (1000 * report.seconds), 6);
  }
  expect(reportText(report)).toMatch(
    /plan +the busiest process has .* of a core by the clock of its steps, below the 70/,
  );
});

test("V20 where one gateway in some runs whole, nothing is lost or doubled at the others either", async () => {
  const report = await simulate(scenarioOf({ volunteers: 400, steps: 3, stepSeconds: 5, gateways: 4, whole: 4 }), 3);
  expect(report).toMatchObject({ violations: [], samplesLost: 0, samplesDoubled: 0 });
  expect(report.processes.map(({ name }) => name)).toEqual(["leader", "g-0"]);
});

test("V20 one seat in a hundred stands for all of them where a gateway does not run whole", () => {
  const world = { gateways: 10, whole: 5 };
  const seats = Array.from({ length: 10_000 }, (_, seat) => standsFor(world, seat));
  expect(seats.reduce((sum, times) => sum + times, 0)).toBe(10_000);
  expect(seats.filter((times) => times === 1)).toHaveLength(2000);
  expect(standsFor({ gateways: 0, whole: 1 }, 7)).toBe(1);
});
