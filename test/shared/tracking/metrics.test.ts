// How trackers are scored, in the cases in which toolkits differ.

import { expect, test } from "vitest";
import type { Box } from "../../../shared/tracking/box.ts";
import { cutAtPicture, got10kScore } from "../../../shared/tracking/got10k-metrics.ts";
import { meanScore, type Protocol, protocols, sequenceScore } from "../../../shared/tracking/metrics.ts";
import { centreError, overlapOf } from "../../../shared/tracking/overlap.ts";

const box = (x: number, y: number, w: number, h: number): Box => ({ x, y, w, h });
const nothing = box(Number.NaN, Number.NaN, Number.NaN, Number.NaN);
const still = (n: number) => Array.from({ length: n }, () => box(10, 10, 20, 20));

test("overlap is that of continuous coordinates; a box that is none has none", () => {
  expect(overlapOf(box(0, 0, 2, 2), box(1, 1, 2, 2))).toBeCloseTo(1 / 7, 15);
  expect(overlapOf(box(0, 0, 2, 2), box(2, 0, 2, 2))).toBe(0);
  expect(overlapOf(box(0, 0, 2, 2), nothing)).toBe(0);
  expect(overlapOf(box(0, 0, 2, 2), box(0, 0, 0, 2))).toBe(0);
  expect(centreError(box(0, 0, 3, 3), box(3, 4, 3, 3))).toBe(5);
});

test.each(protocols)("A89 a perfect tracker has an AUC of 20/21 by protocol %s", (protocol) => {
  const { auc, p20, normalisedP20, sr50 } = sequenceScore(still(5), still(5), protocol);
  expect(auc).toBeCloseTo(20 / 21, 12);
  expect([p20, normalisedP20, sr50]).toEqual([1, 1, 1]);
});

test("an overlap of exactly one half is not above it, and a distance of exactly 20 pixels is within", () => {
  const truth = [box(0, 0, 20, 20), box(0, 0, 20, 20)];
  expect(sequenceScore(truth, [truth[0], box(0, 0, 10, 20)], "all").sr50).toBe(0.5);
  const moved = sequenceScore(truth, [truth[0], box(20, 0, 20, 20)], "all");
  expect([moved.p20, moved.precision[19]]).toEqual([1, 0.5]);
});

test("the first box was given: what a result says there counts nowhere", () => {
  expect(sequenceScore(still(2), [box(500, 500, 1, 1), still(1)[0]], "all").sr50).toBe(1);
});

test.each([
  // One of four frames has no target, and the tracker is right in the others.
  { protocol: "drop", frames: 3, sr50: 1, p20: 1 },
  { protocol: "keep", frames: 4, sr50: 0.75, p20: 1 },
] satisfies { protocol: Protocol; frames: number; sr50: number; p20: number }[])(
  "by protocol $protocol a frame without a target counts as its toolkit counts it",
  ({ protocol, frames, sr50, p20 }) => {
    const truth = [...still(2), nothing, ...still(1)];
    expect(sequenceScore(truth, still(4), protocol)).toMatchObject({ frames, sr50, p20 });
  },
);

test("a truth with a number that is not above 0 is no target by `keep` alone", () => {
  const truth = [...still(1), box(0, 10, 20, 20)];
  const results = [...still(1), box(0, 10, 20, 20)];
  const sr50 = (protocol: Protocol) => sequenceScore(truth, results, protocol).sr50;
  expect([sr50("all"), sr50("drop"), sr50("keep")]).toEqual([1, 1, 0.5]);
});

test("a result that is no box misses; by `keep` the one before it stands in its place", () => {
  const results = [...still(2), nothing, box(10, 10, 0, 20)];
  const sr50 = (protocol: Protocol) => sequenceScore(still(4), results, protocol).sr50;
  expect([sr50("all"), sr50("drop"), sr50("keep")]).toEqual([0.5, 0.5, 1]);
});

test("a data set's score is the mean of its sequences, whatever their lengths", () => {
  const right = sequenceScore(still(2), still(2), "all");
  const wrong = sequenceScore(still(11), [still(1)[0], ...Array.from({ length: 10 }, () => box(90, 90, 5, 5))], "all");
  const mean = meanScore([right, wrong]);
  expect(mean.sequences).toBe(2);
  expect(mean.sr50).toBeCloseTo((1 + 1 / 11) / 2, 12);
  expect(mean.success).toHaveLength(21);
});

test("GOT-10k cuts the corner in, and what lay left of 0 is not cut off the width", () => {
  expect(cutAtPicture(box(-10, 5, 30, 10), 100, 80)).toEqual(box(0, 5, 30, 10));
  expect(cutAtPicture(box(90, 70, 30, 30), 100, 80)).toEqual(box(90, 70, 10, 10));
  expect(cutAtPicture(box(200, 0, 5, 5), 100, 80)).toEqual(box(100, 0, 0, 5));
});

test("GOT-10k counts frames together for AO and SR, and classes alike for their means", () => {
  const size = { width: 100, height: 100 };
  const away = (n: number) => [still(1)[0], ...Array.from({ length: n - 1 }, () => box(70, 70, 20, 20))];
  const score = got10kScore([
    { truth: still(11), results: still(11), objectClass: "boat", ...size },
    { truth: still(3), results: away(3), objectClass: "dog", ...size },
    { truth: still(3), results: still(3), objectClass: "dog", ...size },
    // Hidden in all but the first, which does not count.
    { truth: still(3), results: away(3), cover: [8, 0, 0], objectClass: "kite", ...size },
  ]);
  expect(score.frames).toBe(14);
  expect(score.ao).toBeCloseTo(12 / 14, 12);
  expect([score.mao, score.msr50, score.msr75]).toEqual([0.75, 0.75, 0.75]);
  expect(score.success).toHaveLength(101);
  expect(score.sequences.map(({ frames }) => frames)).toEqual([10, 2, 2, 0]);
});
