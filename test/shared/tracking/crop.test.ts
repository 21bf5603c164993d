// Crops beyond the oracle's cases: what is rounded, what lies outside, and what is drawn of a stored crop.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { cropBytes, cropExactly, cropSides, cropWindow, meanColour } from "../../../shared/tracking/crop.ts";
import { roundHalfEven } from "../../../shared/tracking/round-half-even.ts";
import {
  drawTrainView,
  searchSide,
  type TrainView,
  trainView,
  trainViewExactly,
  viewSizes,
} from "../../../shared/tracking/train-view.ts";

function noise(width: number, height: number) {
  const draws = rng(3, "noise", width, height);
  return { width, height, rgb: Uint8Array.from({ length: 3 * width * height }, () => draws.below(256)) };
}

test("halves go to the even side, above and below zero", () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, 2.5001, -0.4].map(roundHalfEven).map((v) => v + 0)).toEqual([
    0, 2, 2, 0, -2, -2, 2, 3, 0,
  ]);
});

test("A21 a crop's bytes are its exact values, each rounded half to even", () => {
  const image = noise(90, 70);
  const window = cropWindow({ y: 12.3, x: 80.9 }, 61.5);
  expect(window.side).toBe(62);
  const fill = meanColour(image);
  let halves = 0;
  for (const out of [41, 124]) {
    const exact = [...cropExactly(image, window, fill, out)];
    halves += exact.filter((value) => value % 1 === 0.5).length;
    expect([...cropBytes(image, window, fill, out)]).toEqual(exact.map(roundHalfEven));
  }
  expect(halves).toBeGreaterThan(100);
});

test("A22 a crop far outside the picture is its mean colour alone, and that of a target of one pixel is a crop", () => {
  const image = noise(40, 30);
  const fill = meanColour(image);
  const far = cropBytes(image, cropWindow({ y: -4000, x: 1e9 }, 100), fill, 17);
  for (let at = 0; at < far.length; at++) expect(far[at]).toBe(fill[at % 3]);
  expect(cropSides({ w: 1, h: 1 })).toEqual({ exemplar: 2, search: (2 * 255) / 127 });
  const tiny = cropBytes(image, cropWindow({ y: 3, x: 4 }, 0.2), fill, 5);
  expect([...tiny.subarray(0, 3)]).toEqual([...image.rgb.subarray(3 * (3 * 40 + 4), 3 * (3 * 40 + 4) + 3)]);
});

test("A23 a view is stretched by 5 % and moved by 4 pixels at most, and an exemplar is the middle of what a search image would be", () => {
  const patch = noise(255, 255);
  const sizes = { ...viewSizes };
  const side = searchSide(sizes);
  expect(side).toBe(239);
  const draws = rng(1, "views");
  const seen = { least: 2, most: 0, offsets: new Set<number>() };
  for (let i = 0; i < 300; i++) {
    const view = drawTrainView(draws);
    seen.least = Math.min(seen.least, view.stretch);
    seen.most = Math.max(seen.most, view.stretch);
    for (const offset of view.offset) seen.offsets.add(offset);
  }
  expect(seen.least).toBeGreaterThanOrEqual(0.95);
  expect(seen.least).toBeLessThan(0.951);
  expect(seen.most).toBeLessThanOrEqual(1.05);
  expect(seen.most).toBeGreaterThan(1.049);
  expect([...seen.offsets].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const view: TrainView = { stretch: 1.02, offset: [8, 1] };
  const search = trainView(patch, view, "search", new Uint8Array(3 * side * side));
  const exemplar = trainView(patch, view, "exemplar", new Uint8Array(3 * 127 * 127));
  const rows = Array.from({ length: 127 }, (_, row) => [
    ...search.subarray(3 * ((56 + row) * side + 56), 3 * ((56 + row) * side + 56 + 127)),
  ]);
  expect([...exemplar]).toEqual(rows.flat());
});

test("A24 a crop that shrank below what is cut of it is filled up with its mean, all around", () => {
  const patch = noise(255, 255);
  const values = trainViewExactly(patch, { stretch: 0.95, offset: [0, 0] }, "search");
  const mean = [0, 1, 2].map(
    (c) => patch.rgb.reduce((sum, value, at) => (at % 3 === c ? sum + value : sum), 0) / (255 * 255),
  );
  // 242 of 247: round(−2.5) is −2, so two rows lie above it.
  for (let row = 0; row < 3; row++) {
    const line = [...values.subarray(3 * 239 * row + 300, 3 * 239 * row + 303)];
    if (row < 2) expect(line).toEqual(mean);
    else expect(line).not.toEqual(mean);
  }
});
