// A tracker from frame to frame, on a drawn network that the processor computes.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { RgbImage } from "../../../shared/image/resize.ts";
import type { Backbone } from "../../../shared/tracking/backbone.ts";
import { trackOptions } from "../../../shared/tracking/track-step.ts";
import { Tracker } from "../../../shared/tracking/tracker.ts";
import { loadBackbone } from "../../../worker/inference/index.ts";
import { drawnTracker } from "../../fixtures/drawn-tracker.ts";

let backbone: Backbone;
beforeAll(async () => {
  backbone = await loadBackbone(drawnTracker(), { backend: "wasm" });
});
afterAll(() => backbone.dispose());

/** Grey, with a square of noise somewhere. */
function frame(x: number, y: number, side = 24): RgbImage {
  const [width, height] = [96, 72];
  const rgb = new Uint8Array(width * height * 3).fill(96);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const at = 3 * ((y + row) * width + x + column);
      rgb.set([(row * 37 + column * 91) % 256, (row * column * 13) % 256, (row * 57) % 256], at);
    }
  }
  return { width, height, rgb };
}

const finite = ({ x, y, w, h }: { x: number; y: number; w: number; h: number }) => [x, y, w, h].every(Number.isFinite);

test("one response a size comes with each box, which is in the base of the first", async () => {
  const box = { x: 31, y: 21, w: 24, h: 24 };
  const [one, zero] = await Promise.all([
    Tracker.start(backbone, { frame: frame(30, 20), box, base: 1 }),
    Tracker.start(backbone, { frame: frame(30, 20), box: { ...box, x: 30, y: 20 }, base: 0 }),
  ]);
  const [first, second] = [await one.next(frame(33, 20)), await zero.next(frame(33, 20))];
  expect(first.side).toBe(17);
  expect(first.responses).toHaveLength(3 * 17 * 17);
  expect(first.box).toEqual({ ...second.box, x: second.box.x + 1, y: second.box.y + 1 });
  expect(first.box.w / box.w).toBeCloseTo([0.41 + 0.59 / 1.0375, 1, 0.41 + 0.59 * 1.0375][first.scale], 9);
  one.dispose();
  zero.dispose();
});

test.each([
  { what: "of one pixel", box: { x: 40, y: 30, w: 1, h: 1 } },
  { what: "far outside", box: { x: -100_000, y: 50_000, w: 20, h: 30 } },
  { what: "larger than the picture", box: { x: -500, y: -500, w: 2000, h: 1500 } },
])("A84 a target $what is followed, and is no error", async ({ box }) => {
  const tracker = await Tracker.start(backbone, { frame: frame(30, 20), box, base: 1 });
  for (let i = 0; i < 3; i++) expect(finite((await tracker.next(frame(30 + i, 20))).box)).toBe(true);
  tracker.dispose();
});

test.each([
  { x: 10, y: 10, w: 0, h: 5 },
  { x: Number.NaN, y: 10, w: 5, h: 5 },
  { x: 10, y: 10, w: -4, h: 5 },
])("a first box of $x, $y, $w, $h is DATA_INVALID", async (box) => {
  const starting = Tracker.start(backbone, { frame: frame(30, 20), box, base: 1, options: trackOptions });
  await expect(starting).rejects.toMatchObject({ code: "DATA_INVALID" });
});
