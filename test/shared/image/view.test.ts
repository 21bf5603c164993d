// What a network sees of a picture.
import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { evaluationGeometry, randomResizedCrop } from "../../../shared/image/crops.ts";
import { mirror, resizeCrop } from "../../../shared/image/resize.ts";
import { seeView } from "../../../shared/image/see-view.ts";
import { drawView, type ViewOptions } from "../../../shared/image/view.ts";

const options: ViewOptions = { size: 20, resize: 24, augment: "random-resized-crop", area: [0.08, 1] };
const image = { width: 50, height: 40, rgb: Uint8Array.from({ length: 6000 }, (_, i) => (i * 37) % 251) };

test("a random resized crop is torchvision's box, mirrored every other time", () => {
  let flipped = 0;
  for (let i = 0; i < 400; i++) {
    const view = drawView(options, 50, 40, rng(i));
    expect(view.box).toEqual(randomResizedCrop(rng(i), 50, 40));
    if (view.flip) flipped += 1;
  }
  expect(flipped).toBeGreaterThan(150);
  expect(flipped).toBeLessThan(250);
});

test("without draws, and without augmentation, it is the evaluation's centre", () => {
  const centre = { box: { x: 0, y: 0, w: 50, h: 40 }, ...evaluationGeometry(50, 40, 24, 20), flip: false };
  expect(drawView(options, 50, 40, undefined)).toEqual(centre);
  expect(drawView({ ...options, augment: "none" }, 50, 40, rng(1))).toEqual(centre);
});

test("crop-flip takes a part of the resized picture, each corner at times", () => {
  const views = Array.from({ length: 500 }, (_, i) => drawView({ ...options, augment: "crop-flip" }, 50, 40, rng(i)));
  for (const { size } of views) expect(size).toEqual({ width: 30, height: 24 });
  const corners = new Set(views.map(({ window }) => `${window.x} ${window.y}`));
  for (const corner of ["0 0", "10 0", "0 4", "10 4"]) expect(corners).toContain(corner);
  expect(new Set(views.map(({ flip }) => flip)).size).toBe(2);
});

test("what is seen is the box resized, the window of that, then mirrored", () => {
  for (const augment of ["random-resized-crop", "crop-flip"] as const) {
    const view = drawView({ ...options, augment }, 50, 40, rng(11));
    const seen = new Uint8Array(1200);
    seeView(image, { ...view, flip: true }, seen);
    mirror(seen, 20);
    expect(seen).toEqual(resizeCrop(image, view.box, view.size, view.window));
  }
});
