// What is queued for a device stays within bounds, and the queue is never let run empty for it.

import { expect, test } from "vitest";
import { UploadPace } from "../../../worker/trainer/upload-pace.ts";

test("small microbatches wait for nothing; of large ones a half is computed before the next but one is queued", async () => {
  const done: (() => void)[] = [];
  const queue = { onSubmittedWorkDone: () => new Promise<undefined>((resolve) => done.push(() => resolve(undefined))) };
  const pace = new UploadPace(queue, 100);
  let queued = 0;
  const run = async () => {
    for (; queued < 12; queued++) await pace.submitted(10);
  };
  const running = run();
  const settle = async () => {
    for (let i = 0; i < 50; i++) await Promise.resolve();
  };
  await settle();
  // Two halves of five each: the second is full, and the first is not computed.
  expect([queued, done.length]).toEqual([9, 2]);
  done[0]!();
  await settle();
  expect(queued).toBe(12);
  await running;
  const small = new UploadPace(queue, 1000);
  for (let i = 0; i < 49; i++) await small.submitted(10);
  expect(done).toHaveLength(2);
});

test("a device that is lost meanwhile keeps nobody waiting", async () => {
  const pace = new UploadPace({ onSubmittedWorkDone: () => Promise.reject(new Error("lost")) }, 100);
  for (let i = 0; i < 20; i++) await pace.submitted(50);
});
