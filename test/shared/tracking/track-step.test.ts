// A tracker's step, in cases that can be told by hand.

import { expect, test } from "vitest";
import { hannRow, hannWindow } from "../../../shared/tracking/hann.ts";
import {
  boxOf,
  firstTarget,
  matlabClamp,
  scaleFactors,
  searchSides,
  trackOptions,
  trackStep,
} from "../../../shared/tracking/track-step.ts";
import { upsampled } from "../../../shared/tracking/upsample.ts";

const SIDE = 17;
const CELLS = SIDE * SIDE;
const box = { x: 41, y: 31, w: 40, h: 20 };

/** Three maps that are `ground` everywhere but for these cells. */
function maps(
  ground: readonly number[],
  ...cells: readonly (readonly [number, number, number, number])[]
): Float32Array {
  const values = Float32Array.from({ length: 3 * CELLS }, (_, i) => ground[Math.floor(i / CELLS)]);
  for (const [k, y, x, value] of cells) values[k * CELLS + y * SIDE + x] = value;
  return values;
}

test("a window of Hann's is symmetric, 0 at its ends and 1 in all; of one place it is 1", () => {
  expect([...hannRow(5)]).toEqual([0, 0.5, 1, 0.5, 0].map((value) => expect.closeTo(value, 15)));
  expect(hannWindow(9).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 14);
  expect([...hannRow(1)]).toEqual([1]);
});

test("the finer grid keeps a constant, has half-pixel centres and repeats the border", () => {
  expect([...upsampled([3, 3, 3, 3], 2, 2, 4)].every((value) => Math.abs(value - 3) < 1e-12)).toBe(true);
  // Between two cells a = -0.75 overshoots; at a quarter the weights are -0.105, 0.879, 0.262, -0.035.
  const row = upsampled([0, 1], 1, 2, 2);
  expect(row[1]).toBeCloseTo(0.2617 - 0.0352, 3);
  expect(row[0] + row[3]).toBeCloseTo(1, 12);
});

test("a target's box comes back as it was given, in either base", () => {
  for (const base of [0, 1] as const) {
    const target = firstTarget(box, base);
    expect(target).toMatchObject({ x: 41 - base + 19.5, y: 31 - base + 9.5 });
    expect(boxOf(target, base)).toEqual(box);
  }
  const { exemplarSide, searchSide } = firstTarget(box, 1);
  expect(exemplarSide).toBeCloseTo(Math.sqrt(70 * 50), 12);
  expect(searchSide).toBeCloseTo((Math.sqrt(70 * 50) * 255) / 127, 12);
  expect(searchSides(firstTarget(box, 1))[1]).toBe(searchSide);
});

test("a peak in the middle leaves the target where it is, and its size", () => {
  const before = firstTarget(box, 1);
  const step = trackStep(before, maps([0, 0, 0], [1, 8, 8, 1]));
  expect(step.scale).toBe(1);
  // Of two cells that are as high, the first: the middle of an even number of cells lies between two.
  expect(step.peak).toEqual({ row: 135, column: 135 });
  const pixels = (0.5 * before.searchSide) / 255;
  expect(step.target.x).toBeCloseTo(before.x - 0.5 * pixels, 9);
  expect(step.target.w).toBeCloseTo(before.w, 9);
});

test("a peak one cell to the right moves the target by the stride, in pixels of the picture", () => {
  const before = firstTarget(box, 1);
  const { target } = trackStep(before, maps([0, 0, 0], [1, 8, 9, 1]));
  const cell = (8 * before.searchSide) / 255;
  expect(Math.abs(target.x - before.x - cell)).toBeLessThan(cell / 8);
  expect(Math.abs(target.y - before.y)).toBeLessThan(cell / 8);
});

test("another size must be better by its penalty, and then the box follows at its rate", () => {
  const before = firstTarget(box, 1);
  const close = trackStep(before, maps([0, 0, 0], [1, 8, 8, 1], [2, 8, 8, 1.02]));
  expect(close.scale).toBe(1);
  const larger = trackStep(before, maps([0, 0, 0], [1, 8, 8, 1], [2, 8, 8, 1.03]));
  expect(larger.scale).toBe(2);
  const grown = 0.41 + 0.59 * 1.0375;
  for (const side of ["w", "h", "exemplarSide", "searchSide"] as const) {
    expect(larger.target[side]).toBeCloseTo(before[side] * grown, 9);
  }
  const smaller = trackStep(before, maps([0, 0, 0], [0, 8, 8, 2], [1, 8, 8, 1], [2, 8, 8, 2]));
  expect(smaller.scale, "of two that are as good, the first").toBe(0);
});

test("A85 the penalty favours maps that are below zero, as the published tracker's does", () => {
  const before = firstTarget(box, 1);
  expect(trackStep(before, maps([-1, -1, -1])).scale).toBe(0);
  // Its peak is the first of the window's, which are four in the middle.
  expect(trackStep(before, maps([-1, -1, -1])).peak).toEqual({ row: 135, column: 135 });
});

test("clampScale keeps the search side within its multiples of the first; without it nothing does", () => {
  const first = firstTarget(box, 1);
  const grow = maps([0, 0, 0], [1, 8, 8, 1], [2, 8, 8, 2]);
  const grown = { ...first, w: 4.95 * first.w, searchSide: 4.95 * first.searchSide };
  const clamped = trackStep(grown, grow, first, { ...trackOptions, clampScale: matlabClamp }).target;
  expect(clamped.searchSide / first.searchSide).toBeCloseTo(5, 9);
  expect(clamped.w / first.w).toBeCloseTo(5, 9);
  expect(trackStep(grown, grow, first).target.searchSide / first.searchSide).toBeGreaterThan(5.05);
});

test("sizes are powers of the step around 1", () => {
  expect(scaleFactors(trackOptions)).toEqual([1 / 1.0375, 1, 1.0375].map((value) => expect.closeTo(value, 12)));
});
