// The dashboard's bench runs, and says what pages get.
import { expect, test } from "vitest";
import { benchDashboard } from "./dashboard.ts";
import type { Line } from "./line.ts";

test("the cost of a look is measured while simulated workers are there", async () => {
  const lines: Line[] = [];
  await benchDashboard({ workers: 12, viewers: 2, steps: 2 }, async (line) => void lines.push(line));
  const [line] = lines;
  if (line?.record !== "dashboard") throw new Error("there is no line");
  expect(line.looks).toBeGreaterThan(3);
  expect(line.msPerLook).toBeGreaterThan(0);
  expect(line.bytesPerLook).toBeGreaterThan(100);
  expect(line.wholeBytes).toBeGreaterThan(line.bytesPerLook);
});
