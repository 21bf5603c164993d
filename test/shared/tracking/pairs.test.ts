// Which two frames of a sequence are a pair.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { drawPair, spreadFrames } from "../../../shared/tracking/pairs.ts";

test("A25 every two frames less than the gap apart are drawn as often as any other two, the earlier first", () => {
  const frames = [3, 5, 104, 105, 300, 310];
  const draws = rng(7, "pairs");
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const pair = drawPair(frames, 100, draws).join("-");
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  // 105 − 5 is the gap itself, 104 − 5 is within.
  expect([...counts.keys()].sort()).toEqual(["0-1", "1-2", "2-3", "4-5"]);
  for (const count of counts.values()) expect(Math.abs(count - 1500)).toBeLessThan(150);
});

test("where no two frames are so near, neighbours are a pair; of one frame there is none", () => {
  const draws = rng(7, "far");
  const seen = new Set(Array.from({ length: 50 }, () => drawPair([0, 500, 1000], 100, draws).join("-")));
  expect([...seen].sort()).toEqual(["0-1", "1-2"]);
  expect(() => drawPair([4], 100, draws)).toThrow("a pair is of two frames; there are 1");
});

test("frames are spread over all there are, first and last among them", () => {
  const frames = Array.from({ length: 100 }, (_, i) => 2 * i);
  expect(spreadFrames(frames, 200)).toEqual(frames);
  const some = spreadFrames(frames, 8);
  expect([some.length, some[0], some.at(-1)]).toEqual([8, 0, 198]);
  expect(new Set(some).size).toBe(8);
  expect(spreadFrames(frames, 1)).toEqual([0]);
});
