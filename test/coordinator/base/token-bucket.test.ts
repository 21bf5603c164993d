// Rates as numbers: a burst, then a steady flow, by a clock that the test holds.

import { expect, test } from "vitest";
import { fullBucket, isFull, takeToken } from "../../../coordinator/base/token-bucket.ts";

const rate = { perSecond: 2, burst: 3 };

test("a full bucket gives its burst, then one token each time one is due", () => {
  let bucket = fullBucket(0, rate);
  const take = (now: number) => {
    const taken = takeToken(bucket, now, rate);
    bucket = taken.bucket;
    return taken.kind === "taken" ? "taken" : taken.retryMs;
  };
  expect([take(0), take(0), take(0), take(0)]).toEqual(["taken", "taken", "taken", 500]);
  expect([take(250), take(500), take(500), take(1000)]).toEqual([250, "taken", 500, "taken"]);
});

test("over any time no more than burst + rate · time are taken, however they are tried", () => {
  let bucket = fullBucket(0, rate);
  let taken = 0;
  for (let now = 0; now < 10_000; now += 7) {
    const result = takeToken(bucket, now, rate);
    bucket = result.bucket;
    if (result.kind === "taken") taken++;
  }
  expect(taken).toBeLessThanOrEqual(rate.burst + rate.perSecond * 10);
  expect(taken).toBeGreaterThanOrEqual(rate.perSecond * 10);
});

test("a bucket that rested is full again, and a clock that goes back takes nothing", () => {
  const { bucket } = takeToken(fullBucket(1000, rate), 1000, rate);
  expect(isFull(bucket, 1000, rate)).toBe(false);
  expect(isFull(bucket, 1500, rate)).toBe(true);
  expect(takeToken(bucket, 0, rate).bucket.tokens).toBe(1);
});
