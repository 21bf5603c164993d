// A large run's numbers in a thread of their own: the same bits, and nothing is lost with the thread. Here the run is
// small, and the thread is asked for.

import { expect, test } from "vitest";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { createTrainingState } from "../../../coordinator/state/training-state.ts";
import { INLINE_PARAMETERS, startTraining } from "../../../coordinator/training/start-training.ts";
import { ThreadedTraining } from "../../../coordinator/training/threaded-training.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { honestContribution } from "../../fixtures/scripted-contribution.ts";
import { calmRun, startTestRun, stepHashes, type TestRun, workToTheEnd } from "../../fixtures/test-run.ts";
import { tinyDataset } from "../../fixtures/tiny-run.ts";

const threaded = ThreadedTraining.start;

/** A run with its thread at hand. */
async function startThreadedRun(): Promise<{ readonly started: TestRun; readonly thread: ThreadedTraining }> {
  let thread: ThreadedTraining | undefined;
  const started = await startTestRun({
    startTraining: async (state, runTag) => {
      thread = await threaded(state, runTag);
      return thread;
    },
  });
  if (!thread) throw new Error("the run began without its thread");
  return { started, thread };
}

test.each([
  ["exact", {}],
  ["f32", { trust: { clip: "trimmed-mean" } }],
  ["int8", { downlink: { discriminators: "f16", tail: "f16" } }],
  ["sign", { epochs: 1 }],
] as const)("R11 with the codec %s a thread ends each step with the bits of none", async (codec, fields) => {
  const config = { codec, ...fields };
  const { summary: expected, hashes } = await calmRun(config);
  const started = await startTestRun({ config, startTraining: threaded });
  const worker = await started.connect().join();
  expect(await worker.work()).toBe("ended");
  const summary = await started.coordination.done;
  expect({ ...summary, checkpoint: "" }).toEqual(expected);
  expect(await stepHashes(started)).toEqual(hashes);
  // What went down was what its hash names, and changes were of what the worker held.
  expect([worker.refused, worker.wanted]).toEqual([[], []]);
  expect(worker.parameters.some(({ base }) => base !== null)).toBe(true);
});

test("R11 with the codec exact three workers on a thread end with the bits of one without", async () => {
  const { summary: one, hashes } = await calmRun();
  const together = await startTestRun({ startTraining: threaded });
  const three = await workToTheEnd(together, 3);
  expect(three.paramsHash).toBe(one.paramsHash);
  expect(await stepHashes(together)).toEqual(hashes);
});

test("R11 a checkpoint of a thread goes on without one, and the other way round, bit for bit", async () => {
  const { summary: expected, hashes } = await calmRun();
  const first = await startTestRun({ maxSteps: 7, startTraining: threaded });
  await workToTheEnd(first, 1);
  const { path } = first.run.directory;
  await workToTheEnd(await startTestRun({ open: await reopenRun(path), maxSteps: 14 }), 2);
  const third = await startTestRun({ open: await reopenRun(path), startTraining: threaded });
  const summary = await workToTheEnd(third, 1);
  expect({ ...summary, checkpoint: "" }).toEqual(expected);
  expect(await stepHashes(third)).toEqual(hashes);
});

test("K11 a thread that ends in the middle of a step ends the run with THREAD_FAILED, and a resume ends with the same bits", async () => {
  const { summary: expected } = await calmRun();
  const { started, thread } = await startThreadedRun();
  const worker = await started.connect().join();
  for (let lease = await worker.lease(); ; lease = await worker.lease()) {
    if (lease.step === 7) break;
    await worker.answer(lease);
  }
  // An order that makes no sense is a bug, and ends it: nothing lies in the slot.
  thread.commit(1, 1, { account: "a", from: 0 });
  await expect(started.coordination.done).rejects.toMatchObject({
    code: "THREAD_FAILED",
    message: expect.stringContaining("nothing to add in slot 1"),
  });
  expect((await worker.closed).code).toBe(4013);
  const resumed = await startTestRun({ open: await reopenRun(started.run.directory.path), startTraining: threaded });
  const summary = await workToTheEnd(resumed, 2);
  expect({ ...summary, checkpoint: "" }).toEqual(expected);
});

test("K11 a thread that ends while it checks a contribution ends the run with THREAD_FAILED", async () => {
  const { started, thread } = await startThreadedRun();
  const worker = await started.connect().join();
  const contribution = honestContribution(worker.welcome, await worker.lease());
  thread.commit(0, 1, { account: "a", from: 0 });
  worker.sendContribution(contribution);
  await expect(started.coordination.done).rejects.toMatchObject({ code: "THREAD_FAILED" });
  // The run is over, not this worker's session alone.
  expect((await worker.closed).code).toBe(4013);
});

test("a network above the limit has a thread, one below it none", async () => {
  const startedFor = async (widths: number[]) => {
    const config = parseConfig({
      model: { kind: "lenet", widths },
      data: { kind: "idx", trainSamples: 7, testSamples: 5 },
      method: { ablation: "R" },
    });
    const state = createTrainingState(config, tinyDataset(config));
    const parameters = [...state.parameters.student.values()].reduce((sum, { length }) => sum + length, 0);
    const training = await startTraining(state, "0".repeat(32));
    await training.close();
    return { large: parameters > INLINE_PARAMETERS, inline: training.inline, left: state.parameters.student.size > 0 };
  };
  expect(await startedFor([4, 4, 8])).toEqual({ large: false, inline: true, left: true });
  expect(await startedFor([64, 128, 512])).toEqual({ large: true, inline: false, left: false });
});
