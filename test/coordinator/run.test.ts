// Rules R and K of SPEC.md: whole runs with scripted workers over real sockets end with the same bits however they are
// split, stopped or resumed.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCommitLog } from "../../coordinator/checkpoint/commit-log.ts";
import { isClaim } from "../../coordinator/disk/claim.ts";
import { readStatus } from "../../coordinator/program/status-command.ts";
import { reopenRun } from "../../coordinator/run/open-run.ts";
import { honestContribution } from "../fixtures/scripted-contribution.ts";
import type { ScriptedWorker } from "../fixtures/scripted-worker.ts";
import { calmRun, startTestRun, stepHashes, type TestRun, workToTheEnd } from "../fixtures/test-run.ts";

/** Works until `steps` are committed, and holds a lease of the next step, or of an evaluation, then. */
async function workUpTo(worker: ScriptedWorker, steps: number) {
  for (;;) {
    const lease = await worker.lease();
    if (lease.step === steps) return lease;
    await worker.answer(lease);
  }
}

/** Stops after exactly so many steps: the worker gives the next one back. */
async function stopAfter(steps: number): Promise<TestRun> {
  const started = await startTestRun();
  const worker = await started.connect().join();
  const { lease } = await workUpTo(worker, steps);
  started.coordination.stop();
  worker.send({ type: "return", lease, reason: "pause", detail: "" });
  expect(await started.coordination.done).toMatchObject({ finished: false, step: steps });
  return started;
}

test("R1 with the codec exact one worker and three end with the same parameters, step by step", async () => {
  const { summary: one, hashes } = await calmRun();
  const together = await startTestRun();
  const three = await workToTheEnd(together, 3);
  expect(one).toMatchObject({ finished: true, step: 24, steps: 24, samples: 6 * 256 });
  expect(one).toMatchObject({ scores: { student: { value: 0.5 }, teacher: { value: 0.5 } } });
  expect(hashes).toHaveLength(24);
  expect(await stepHashes(together)).toEqual(hashes);
  expect(three.paramsHash).toBe(one.paramsHash);
});

test("R2 the network in training is evaluated where its epoch ends, and at the end of the run", async () => {
  const started = await startTestRun({ maxSteps: 10 });
  expect(await workToTheEnd(started, 1)).toMatchObject({
    finished: true,
    step: 10,
    scores: { student: { value: 0.5 } },
  });
  const evaluations = (await started.events()).filter(({ type }) => type === "evaluation");
  expect(evaluations).toMatchObject([
    { network: "teacher", step: 8 },
    { network: "student", step: 10 },
  ]);
  const steps = (count: number) => Array(count).fill("step");
  expect(started.jsonLines.map((line) => JSON.parse(line).event)).toEqual([
    ...steps(8),
    "evaluation",
    ...steps(2),
    "evaluation",
    "done",
  ]);
  const [first] = started.jsonLines;
  expect(JSON.parse(first)).toMatchObject({ event: "step", step: 1, epoch: 0, samples: 64, workers: 1 });
});

test("R3 a teacher from a file is not trained, and is evaluated once", async () => {
  const source = await startTestRun({ maxSteps: 8 });
  const { checkpoint } = await workToTheEnd(source, 1);
  const file = join(checkpoint, "teacher.safetensors");
  const started = await startTestRun({ config: { teacher: { file }, epochs: 1 } });
  expect(await workToTheEnd(started, 1)).toMatchObject({
    step: 8,
    steps: 8,
    scores: { student: { value: 0.5 }, teacher: { value: 0.5 } },
  });
});

test("K1 a run has a checkpoint before its first step, every so many steps, and at the end of each phase", async () => {
  const config = { checkpoint: { everySteps: 5, keep: 100 } };
  const { run, coordination, connect } = await startTestRun({ config });
  const names = () => readdir(join(run.directory.path, "checkpoints"));
  await expect.poll(names).toEqual(["step-0"]);
  await (await connect().join()).work();
  await coordination.done;
  const steps = (await names()).map((name) => Number(name.slice("step-".length))).sort((a, b) => a - b);
  expect(steps).toEqual([0, 5, 8, 10, 12, 15, 16, 20, 24]);
});

test("K2 a run that was stopped goes on as if it never had, bit for bit", async () => {
  const { summary: expected, hashes } = await calmRun();
  const { path } = (await stopAfter(7)).run.directory;
  const second = await startTestRun({ open: await reopenRun(path), maxSteps: 14 });
  expect(await workToTheEnd(second, 2)).toMatchObject({ finished: true, step: 14, samples: 14 * 64 });
  const third = await startTestRun({ open: await reopenRun(path) });
  const summary = await workToTheEnd(third, 1);
  expect({ ...summary, checkpoint: "" }).toEqual(expected);
  expect(await stepHashes(third)).toEqual(hashes);
  const resumes = (await readCommitLog(path)).filter(({ type }) => type === "resume");
  expect(resumes).toMatchObject([{ fromStep: 7, checkpoint: "checkpoints/step-7" }, { fromStep: 14 }]);
});

test("K2 a run that was stopped while samples were carried over commits each of them once", async () => {
  const config = { codec: "f32", lease: { timeoutMs: 20_000, minDeadlineMs: 1000 } };
  const started = await startTestRun({ config });
  const [slow, quick] = [await started.connect().join(), await started.connect().join()];
  const first = await slow.lease();
  quick.send({ type: "ready" });
  await slow.answer(first);
  const [late, theirs] = [await slow.lease(), await quick.next("lease")];
  await quick.answer(theirs);
  await slow.next("cancel");
  started.coordination.stop();
  expect(await started.coordination.done).toMatchObject({ finished: false, step: 2, samples: 96 });
  const resumed = await startTestRun({ open: await reopenRun(started.run.directory.path) });
  const worker = await resumed.connect().join();
  const carried = await worker.lease();
  expect(carried).toMatchObject({ step: 2, ranges: late.ranges });
  await worker.answer(carried);
  expect(await worker.work()).toBe("ended");
  expect(await resumed.coordination.done).toMatchObject({ finished: true, step: 24, samples: 6 * 256 });
});

test("K3 a stop lets those who compute finish the step, and commits it", async () => {
  const { coordination, connect } = await startTestRun();
  const worker = await connect().join();
  const lease = await worker.lease();
  coordination.stop();
  await worker.answer(lease);
  expect(await coordination.done).toMatchObject({ finished: false, step: 1 });
  expect((await worker.closed).code).toBe(1001);
});

test("K3 a stop ends at once where nobody computes", async () => {
  const { coordination, connect } = await startTestRun();
  await connect().join();
  coordination.stop();
  expect(await coordination.done).toMatchObject({ finished: false, step: 0, samples: 0 });
});

test("K4 an evaluation that a stop cut off is made on resume, before the next step", async () => {
  const started = await stopAfter(8);
  const { path } = started.run.directory;
  const resumed = await startTestRun({ open: await reopenRun(path) });
  const worker = await resumed.connect().join();
  expect(await worker.lease()).toMatchObject({ phase: "evaluate-teacher", network: "teacher", step: 8, split: "test" });
});

test("K5 a damaged checkpoint is skipped, said so, and resumed past", async () => {
  const { run } = await stopAfter(7);
  const newest = join(run.directory.path, "checkpoints", "step-7", "model.safetensors");
  const bytes = await readFile(newest);
  bytes[bytes.length - 1] ^= 1;
  await writeFile(newest, bytes);
  const reopened = await reopenRun(run.directory.path);
  expect(reopened.state.step).toBe(6);
  expect(reopened.notices).toEqual([expect.stringMatching(/skipped .*step-7: CHECKPOINT_CORRUPT: model\.safetensors/)]);
  await reopened.log.close();
  await reopened.claim.release();
});

test("K6 a checkpoint and a commit log of different runs are not mixed", async () => {
  const [one, other] = [await stopAfter(3), await startTestRun({ config: { seed: 1 }, maxSteps: 3 })];
  await workToTheEnd(other, 1);
  const log = await readFile(join(other.run.directory.path, "commits.ndjson"));
  await writeFile(join(one.run.directory.path, "commits.ndjson"), log);
  await expect(reopenRun(one.run.directory.path)).rejects.toMatchObject({ code: "COMMIT_LOG_CORRUPT" });
});

test("K14 a coordinator whose run another one has resumed ends with COMMIT_LOG_FENCED, sends its workers away to come back, and leaves no trace", async () => {
  const { summary: expected, hashes } = await calmRun();
  const stale = await startTestRun();
  const { path } = stale.run.directory;
  const worker = await stale.connect().join();
  const lease = await workUpTo(worker, 4);
  // Its claim is gone, as a machine's that was cut off for long from a network's file system.
  for (const name of (await readdir(path)).filter(isClaim)) await rm(join(path, name));
  await rm(join(path, "coordinator.json"));
  const fresh = await startTestRun({ open: await reopenRun(path) });
  const before = await readdir(join(path, "checkpoints"));
  worker.sendContribution(honestContribution(worker.welcome, lease));
  await expect(stale.coordination.done).rejects.toMatchObject({ code: "COMMIT_LOG_FENCED" });
  // No word that the run is over: it is not.
  expect((await worker.closed).code).toBe(1001);
  expect(await readdir(join(path, "checkpoints"))).toEqual(before);
  expect(await readStatus(path)).toMatchObject({ state: "waiting", step: 3 });
  const summary = await workToTheEnd(fresh, 1);
  expect({ ...summary, checkpoint: "" }).toEqual({ ...expected, checkpoint: "" });
  expect(await stepHashes(fresh)).toEqual(hashes);
});
