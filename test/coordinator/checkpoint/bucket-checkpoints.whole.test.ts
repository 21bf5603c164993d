// Checkpoints in a bucket, against storage that speaks S3: made and never written over, pruned, fenced, and the run
// goes on from them on another machine to the same bits.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BucketCheckpoints } from "../../../coordinator/checkpoint/bucket-checkpoints.ts";
import { readNewestCheckpoint, restoreState } from "../../../coordinator/checkpoint/checkpoint.ts";
import { fetchRun } from "../../../coordinator/run/fetch-run.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { startBucket, type TestBucket } from "../../fixtures/bucket.ts";
import { calmRun, openTestRun, scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";
import { essence, stateAt, write } from "../../fixtures/tiny-checkpoint.ts";

const conditional = () => startBucket("runs", true);
const at = ({ bucket }: TestBucket, run = "one") => `s3://${bucket}/runs/${run}`;
const manifests = ({ requests }: TestBucket) =>
  requests.flatMap((line) => /^PUT .*\/(epoch-0*(\d+)-step-0*(\d+))\.json 200$/.exec(line)?.[1] ?? []);

/** A run's folder with a checkpoint of this step. */
async function withCheckpoint(steps: number) {
  const runDir = await scratchFolder();
  const { state, ledger } = stateAt(steps);
  return { runDir, state, ledger, path: await write(runDir, state, ledger) };
}

test("K32 storage that ignores If-None-Match is refused by name before anything is computed", async () => {
  const bucket = await startBucket("runs");
  const refusal = { code: "BUCKET_REFUSED", message: expect.stringMatching(/127\.0\.0\.1:\d+ ignores If-None-Match/) };
  await expect(new BucketCheckpoints(at(bucket), bucket.environment).require()).rejects.toMatchObject(refusal);
  const { runDir, path } = await withCheckpoint(1);
  const copies = new BucketCheckpoints(at(bucket), bucket.environment);
  await expect(copies.put(runDir, path, 1, 3)).rejects.toMatchObject(refusal);
  expect(manifests(bucket)).toEqual([]);
  const before = { ...process.env };
  Object.assign(process.env, bucket.environment);
  try {
    const run = await openTestRun({ checkpoint: { bucket: at(bucket) } });
    await expect(startTestRun({ open: run })).rejects.toMatchObject(refusal);
  } finally {
    for (const name of Object.keys(bucket.environment)) delete process.env[name];
    Object.assign(process.env, before);
  }
});

test("K32 a checkpoint goes up with its manifest last, and comes back to the bit; the newest are kept", async () => {
  const bucket = await conditional();
  const copies = new BucketCheckpoints(at(bucket), bucket.environment);
  const { runDir, state, ledger, path } = await withCheckpoint(2);
  await writeFile(join(runDir, "trust.json"), "{}");
  expect(await copies.put(runDir, path, 7, 2)).toEqual({
    where: `${at(bucket)}/checkpoints/epoch-0000000007-step-0000000002.json`,
    step: 2,
    epoch: 7,
  });
  const puts = bucket.requests.filter((line) => line.startsWith("PUT") && !line.includes("probe-"));
  expect(puts.findIndex((line) => line.includes("/checkpoints/"))).toBe(puts.length - 1);
  // The same again is the same.
  await copies.put(runDir, path, 7, 2);

  const elsewhere = await fetchRun(at(bucket), {
    runDir: join(await scratchFolder(), "run"),
    environment: bucket.environment,
  });
  const checkpoint = await readNewestCheckpoint(elsewhere);
  expect(essence(restoreState(checkpoint, state.dataset))).toEqual(essence(state));
  expect(await readFile(join(elsewhere, "trust.json"), "utf8")).toBe("{}");
  await expect(fetchRun(at(bucket), { runDir: elsewhere, environment: bucket.environment })).rejects.toMatchObject({
    code: "RUN_EXISTS",
  });

  for (const steps of [3, 4]) {
    const next = await withCheckpoint(steps);
    await copies.put(next.runDir, next.path, 7, 2);
  }
  const other = new BucketCheckpoints(at(bucket), bucket.environment);
  expect(await other.fetch(await scratchFolder())).toMatchObject({ step: 4, epoch: 7, skipped: [] });
  expect(bucket.requests.filter((line) => /^DELETE .*step-0000000002\.json/.test(line))).toHaveLength(1);
  const removed = bucket.requests.filter((line) => /^DELETE .*\/files\/epoch-0000000007\//.test(line));
  expect(removed.length).toBeGreaterThan(0);
  expect(ledger.toJSON()).toEqual(checkpoint.ledger.toJSON());
});

test("K33 a coordinator that was replaced writes no checkpoint, and of one epoch nobody writes over another's", async () => {
  const bucket = await conditional();
  const copies = new BucketCheckpoints(at(bucket), bucket.environment);
  const [one, later] = [await withCheckpoint(1), await withCheckpoint(3)];
  await copies.put(one.runDir, one.path, 5, 3);
  const stale = new BucketCheckpoints(at(bucket), bucket.environment);
  await expect(stale.put(later.runDir, later.path, 4, 3)).rejects.toMatchObject({
    code: "COMMIT_LOG_FENCED",
    message: expect.stringMatching(/was written by coordinator 5; this is 4, which was replaced/),
  });
  const { state, ledger } = stateAt(1);
  for (const values of Object.values(state.parameters)) for (const tensor of values.values()) tensor[0] += 1;
  const rival = await scratchFolder();
  await expect(copies.put(rival, await write(rival, state, ledger), 5, 3)).rejects.toMatchObject({
    code: "COMMIT_LOG_FENCED",
    message: expect.stringMatching(/is there with other parameters/),
  });
  expect(await copies.fetch(await scratchFolder())).toMatchObject({ step: 1, epoch: 5 });
  // Between two epochs the higher has the run, whatever its step.
  const lower = await scratchFolder();
  await copies.put(one.runDir, one.path, 6, 9);
  expect(await copies.fetch(lower)).toMatchObject({ step: 1, epoch: 6 });
});

test("K33 a copy that is damaged is passed over for the one before it", async () => {
  const bucket = await conditional();
  const copies = new BucketCheckpoints(at(bucket), bucket.environment);
  for (const steps of [1, 2]) {
    const { runDir, path } = await withCheckpoint(steps);
    await copies.put(runDir, path, 1, 3);
  }
  const folder = await scratchFolder();
  await writeFile(join(folder, "epoch-0000000001-step-0000000002.json"), "{}");
  await bucket.upload(folder, "runs/one/checkpoints");
  const found = await copies.fetch(await scratchFolder());
  expect(found).toMatchObject({ step: 1 });
  expect(found.skipped).toMatchObject([{ reason: expect.stringMatching(/^CHECKPOINT_CORRUPT/) }]);
  await expect(new BucketCheckpoints(at(bucket, "two"), bucket.environment).fetch(folder)).rejects.toMatchObject({
    code: "CHECKPOINT_MISSING",
  });
});

test("K34 a run goes on from its bucket on another machine, to the bits of one that was never moved", async () => {
  const bucket = await conditional();
  const before = { ...process.env };
  Object.assign(process.env, bucket.environment);
  try {
    const checkpoint = { everySteps: 3, bucket: at(bucket) };
    const first = await startTestRun({ config: { checkpoint }, maxSteps: 7 });
    await workToTheEnd(first, 1);
    expect(manifests(bucket).at(-1)).toMatch(/-step-0000000007$/);
    const told = (await first.events()).flatMap(({ message }) => String(message ?? ""));
    expect(told.join()).toContain("the checkpoint of step 7 is in the bucket: s3://");

    const runDir = await fetchRun(at(bucket), { runDir: join(await scratchFolder(), "run") });
    const open = await reopenRun(runDir);
    expect(open.state.step).toBe(7);
    expect(open.log.fence).toBeGreaterThan(first.run.log.fence);
    const second = await startTestRun({ open });
    const summary = await workToTheEnd(second, 1);
    const calm = await calmRun();
    expect(summary.paramsHash).toBe(calm.summary.paramsHash);
    const epochs = manifests(bucket).map((name) => Number(name.slice(6, 16)));
    expect(Math.max(...epochs)).toBe(open.log.fence);

    // Whoever still drives it on the first machine is not let write again.
    const copies = new BucketCheckpoints(at(bucket), bucket.environment);
    const { path } = await readNewestCheckpoint(first.run.directory.path);
    await expect(copies.put(first.run.directory.path, path, first.run.log.fence, 3)).rejects.toMatchObject({
      code: "COMMIT_LOG_FENCED",
    });
  } finally {
    for (const name of Object.keys(bucket.environment)) delete process.env[name];
    Object.assign(process.env, before);
  }
}, 120_000);
