// Rules of the measure of a blocked event loop.
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { LoopDelayMeter } from "../../../coordinator/program/loop-delay.ts";

test("work that keeps the loop from its turn is seen, and is not told twice", async () => {
  const meter = new LoopDelayMeter();
  try {
    await sleep(30);
    const until = performance.now() + 120;
    while (performance.now() < until) Math.sqrt(until);
    await sleep(30);
    const { max, p99 } = meter.take();
    expect(max).toBeGreaterThan(80);
    expect(max).toBeGreaterThanOrEqual(p99);
    expect(meter.take()).toEqual({ max: 0, p99: 0 });
  } finally {
    meter.close();
  }
});
