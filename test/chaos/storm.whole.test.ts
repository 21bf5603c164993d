// Storms over a whole cluster of built programs: coordinators, gateways and nats-servers are killed, stopped, cut off
// from each other and left without room on their disks. Whatever happened, each sample is committed once, the
// parameters are those of a run in one process, and a checker that shares no code with any of them agrees.

import { join } from "node:path";
import { expect, test } from "vitest";
import { checkRun } from "../../deploy/cluster/check-run.mjs";
import { WorkerProcess } from "../e2e/worker-process.ts";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { often } from "../fixtures/in-rotation.ts";
import { madeOnce } from "../fixtures/made-once.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { notOnLinux } from "../fixtures/test-tool.ts";
import type { ClusterOptions } from "./cluster.ts";
import { CrewProcess } from "./crew-process.ts";
import { Storm, type StormReport } from "./storm.ts";
import { MISHAPS, type Mishap, SEEDS_OF_A_DECK, stormPlan } from "./storm-plan.ts";
import { crew, stormFlags } from "./storm-run.ts";

const TIMEOUT_MS = 600_000;
// `npm run test:long` plays them: one needs two cores to itself, and `npm test` starts three files at a time.
const SEEDS = often(0, 24);
/** From kill -9 of whoever leads to the next commit, where a standby follows, on a machine that has time for both. */
const MOST_PAUSE_MS = 5000;

/** Over scripted workers, and one over those that compute on a device. */
const storms: (readonly [seed: number, crews: ClusterOptions["crews"]])[] = [];
for (let seed = 0; seed < SEEDS; seed++) storms.push([seed, "scripted"]);
if (SEEDS > 0) storms.push([0, "deno"]);

/** The parameters after each step of a calm run in one process. */
function calm(crews: ClusterOptions["crews"]): Promise<readonly string[]> {
  return madeOnce(`storm-calm-${crews}`, async () => {
    const folder = await scratchFolder();
    const runDir = join(folder, "run");
    const run = new CoordinatorProcess([
      "start",
      ...(await stormFlags(folder)),
      ...["--run-dir", runDir, "--workers", "0", "--port", "0"],
    ]);
    const url = await run.url();
    if (crews === "deno") new WorkerProcess(url, "deno", { count: 2 });
    else new CrewProcess(url, 2, 0);
    const { code, stderr } = await run.exited;
    expect(code, stderr).toBe(0);
    return checkRun([runDir]).paramsHashes;
  });
}

/** What a storm came to, on a line. */
function lineOf({ check, ...report }: StormReport): string {
  const { paramsHashes, ...checked } = check;
  return JSON.stringify({ ...report, ...checked, paramsHash: paramsHashes.at(-1) });
}

test("storms of a deck have every mishap once, and of all decks every way to lose the keys", () => {
  const kinds = (turn: number) =>
    Array.from({ length: SEEDS_OF_A_DECK }, (_, index) => stormPlan(turn * SEEDS_OF_A_DECK + index)).flatMap(
      ({ mishaps }) => mishaps,
    );
  const named = (mishaps: readonly Mishap[]) => new Set(mishaps.map(({ kind }) => kind));
  expect(kinds(0)).toHaveLength(SEEDS_OF_A_DECK * MISHAPS);
  const two = [...kinds(0), ...kinds(1)];
  expect(named(two).size).toBe(20);
  expect(new Set(two.flatMap((mishap) => (mishap.kind === "emptied" ? [mishap.how] : []))).size).toBe(4);
  expect(new Set([0, 1, 2, 3].map((seed) => stormPlan(seed).gateways))).toEqual(new Set([1, 3, 8]));
});

test.skipIf(notOnLinux).each(storms)(
  "U43 storm of seed %i over %s crews: killed, stopped, parted, emptied and full, nothing is missing, nothing twice, and no bit another",
  async (seed, crews) => {
    const expected = await calm(crews);
    const folder = await scratchFolder();
    const plan = stormPlan(seed);
    const report = await Storm.play(plan, { folder, flags: await stormFlags(folder), ...crew, crews });
    const line = lineOf(report);
    console.log(line);
    expect(report.check.problems, line).toEqual([]);
    expect(report.check.paramsHashes, line).toEqual(expected);
    expect(report.left, line).toBe(0);
    for (const { kind, gapMs } of report.blows) {
      // What this machine made all of them wait for without a mishap is none of the fail-over's.
      if (kind === "leader-killed") expect(gapMs - report.calmGapMs - report.stallMs, line).toBeLessThan(MOST_PAUSE_MS);
    }
  },
  TIMEOUT_MS,
);
