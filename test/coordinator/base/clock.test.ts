// The real clock, where it is more than its timers.

import { expect, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";

test("what is due after no time comes in the next turn, also where nothing else happens before a timer", async () => {
  const timer = new Promise((resolve) => setTimeout(resolve, 500, "timer"));
  for (let again = 0; again < 3; again++) {
    const next = new Promise((resolve) => systemClock.after(0, () => resolve("turn")));
    expect(await Promise.race([next, timer])).toBe("turn");
  }
});

test("what was cancelled does not come", async () => {
  const called: number[] = [];
  for (const ms of [0, 1]) systemClock.after(ms, () => called.push(ms))();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(called).toEqual([]);
});
