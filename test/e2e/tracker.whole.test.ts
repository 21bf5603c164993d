// A tracker from films to a trained network by the built programs: rendered films imported as clips, a teacher, a 1-bit
// student with discriminators, tuned norms; whoever is killed, every step has the bits of one worker that nothing
// disturbs.

import { join } from "node:path";
import { expect, test } from "vitest";
import { runCoordinator } from "../fixtures/coordinator-process.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { renderTrackingData } from "../fixtures/tracking-sequences.ts";
import { calmRun, hashes, linesOf, reached, resume, start, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

const FILMS = 4;
/** Two steps of the teacher, then twice two of the student and one of the BN phase. */
const STEPS = 2 + 2 * 3;

/** Small images: an exemplar of 103 pixels, which leaves a map of 3, and a search of 255 − 2 · 60 = 135. */
const fields = {
  "task.kind": "siamfc",
  "task.exemplar": 103,
  "task.margin": 60,
  "task.responseScale": 0.3,
  "model.kind": "siamfc",
  "model.widths": [4, 6, 8, 8, 4],
  "data.kind": "store",
  "data.draws": 2,
  "data.testDraws": 1,
  batch: 4,
  microbatch: 2,
  "teacher.epochs": 1,
  epochs: 2,
  bnPhase: 0.5,
  "adversarial.warmupEpochs": 0,
} as const;

test("killed workers and a killed coordinator leave a tracker with the bits of a calm run", async () => {
  const films = await renderTrackingData(join(await scratchFolder(), "films"), { train: FILMS, test: 2, frames: 5 });
  const store = join(await scratchFolder(), "clips");
  const imported = await runCoordinator("import", films.got10k, "--out", store, "--crops", "3", "--workers", "1");
  expect(imported, imported.stderr).toMatchObject({ code: 0 });
  const run = { ...fields, "data.store": store };
  const expected = calmRun(run, "deno");

  const runDir = join(await scratchFolder(), "killed");
  const first = start(runDir, run);
  const pair = new WorkerProcess(await first.url(), "deno", { count: 2 });
  await reached(first, 3);
  process.kill(pair.children()[0]!, "SIGKILL");
  await reached(first, 5);
  first.child.kill("SIGKILL");
  await first.exited;
  pair.child.kill("SIGTERM");
  const second = resume(runDir);
  new WorkerProcess(await second.url(), "deno");
  await succeeded(second);

  const calm = await expected;
  const all = { ...hashes(linesOf(first)), ...hashes(linesOf(second)) };
  expect(Object.keys(all)).toHaveLength(STEPS);
  expect(all).toEqual(hashes(calm));
  const [done] = linesOf(second).filter(({ event }) => event === "done");
  expect(done?.scores).toMatchObject({ teacher: { name: "on target" }, student: { name: "on target" } });
}, 300_000);
