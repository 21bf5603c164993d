// From a folder of photographs to a trained network: imported once, leased, decoded and augmented on Deno and Chromium
// workers, with one of them, or with `npm run test:long` the coordinator, killed on the way.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCommitLog, standingCommits } from "../../coordinator/checkpoint/commit-log.ts";
import { intervalSet } from "../../shared/base/intervals.ts";
import { runCoordinator } from "../fixtures/coordinator-process.ts";
import { often } from "../fixtures/in-rotation.ts";
import { photographFolder } from "../fixtures/photographs.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { calmRun, hashes, linesOf, reached, resume, start, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

async function imported(folder: string, store: string, ...flags: readonly string[]): Promise<void> {
  const { code, stderr } = await runCoordinator("import", folder, "--out", store, "--short", "96", ...flags);
  expect(code, stderr).toBe(0);
}

const manifestOf = (store: string) => readFile(join(store, "manifest.json"), "utf8");

/** A ResNet of two stages at 48 pixels, for an epoch: ResNet-18 at its full size is imagenet-size.whole.test.ts. */
const fieldsOf = (store: string) => ({
  "data.kind": "store",
  "data.store": store,
  "data.size": 48,
  model: { kind: "resnet", widths: [8, 16], blocks: [1, 1], stem: "imagenet" },
  "method.ablation": "R",
  batch: 64,
  microbatch: 16,
  epochs: 1,
  "checkpoint.everySteps": 1,
});

test("photographs are trained on by a Deno and a Chromium worker, one of which is killed", async () => {
  const { folder, images } = await photographFolder(19);
  const scratch = await scratchFolder();
  const store = join(scratch, "store");
  await imported(folder, store);
  const verified = await runCoordinator("verify-store", store, "--decode");
  expect(verified.code, verified.stderr).toBe(0);
  const { splits } = JSON.parse((await runCoordinator("inspect", store, "--json")).stdout);
  const { samples } = splits.train;
  expect(samples + splits.val.samples).toBe(images);

  const runDir = join(scratch, "run");
  const run = start(runDir, fieldsOf(store));
  const url = await run.url();
  new WorkerProcess(url, "browser");
  const deno = new WorkerProcess(url, "deno");
  await reached(run, 1);
  for (const pid of deno.children()) process.kill(pid, "SIGKILL");
  await succeeded(run);
  const steps = standingCommits(await readCommitLog(runDir)).flatMap((one) => (one.type === "step" ? [one] : []));
  expect(steps).toHaveLength(Math.ceil(samples / 64));
  // An interval set refuses a range that is in it already.
  const ranges = steps.flatMap((step) => step.ranges.map(([from, to]) => ({ from, to })));
  expect(intervalSet(ranges).toJSON()).toEqual([[0, samples]]);
}, 600_000);

test.each([12].slice(0, often(0, 1)))(
  "the same %i photographs make the same store, and the same run, killed and resumed",
  async (count) => {
    const { folder } = await photographFolder(count);
    const scratch = await scratchFolder();
    const [store, again] = [join(scratch, "store"), join(scratch, "again")];
    await imported(folder, store);
    await imported(folder, again, "--workers", "1");
    expect(await manifestOf(again)).toBe(await manifestOf(store));

    const fields = { "data.size": 32 } as const;
    const calm = await calmRun({ ...fieldsOf(store), ...fields }, "deno");
    const runDir = join(scratch, "run");
    const run = start(runDir, { ...fieldsOf(again), ...fields });
    const worker = new WorkerProcess(await run.url(), "deno");
    await reached(run, 1);
    run.child.kill("SIGKILL");
    await run.exited;
    worker.child.kill("SIGTERM");
    const rest = resume(runDir);
    new WorkerProcess(await rest.url(), "deno", { count: 2 });
    await succeeded(rest);
    expect({ ...hashes(linesOf(run)), ...hashes(linesOf(rest)) }).toEqual(hashes(calm));
    expect(Object.keys(hashes(calm)).length).toBeGreaterThan(1);
  },
  600_000,
);
