// How a run sees a store's images: what is open is filled in by what the images are, and what contradicts is refused.

import { expect, test } from "vitest";
import type { DataOptions } from "../../../shared/data/data-kinds.ts";
import { type Dataset, MEDIA_CLIP } from "../../../shared/data/dataset.ts";
import { JPEG, PIXELS, seenShape, settledView } from "../../../shared/data/image-view.ts";
import { parseConfig } from "../../../shared/run/config.ts";

const options = (fields: Record<string, unknown> = {}): DataOptions =>
  parseConfig({ data: { kind: "store", store: "/somewhere", ...fields } }).data;
const format = (media: string): Dataset["format"] => ({ kind: "bytes", media, targetBytes: 2, chunk: 8 });
const jpeg = format(JPEG);
const pixels = format(PIXELS);
const clip = format(MEDIA_CLIP);

test("a store of JPEGs is seen at 224 pixels, from 256 in evaluations, random-resized-cropped while training", () => {
  expect(settledView(options(), jpeg)).toMatchObject({
    size: 224,
    resize: 256,
    augment: "random-resized-crop",
    area: [0.08, 1],
  });
  expect(settledView(options({ size: 64 }), jpeg)).toMatchObject({ size: 64, resize: 73 });
  expect(settledView(options({ augment: "none", resize: 300 }), jpeg)).toMatchObject({ augment: "none", resize: 300 });
});

test("pixels are seen as they are, with a pad, and cropped and flipped while training", () => {
  const settled = settledView(options({ size: 64, pad: 2 }), pixels);
  expect(settled).toMatchObject({ augment: "crop-flip", pad: 2 });
  expect("size" in settled || "resize" in settled).toBe(false);
  expect(seenShape({ shape: { h: 28, w: 28, c: 1 } }, settled)).toEqual({ h: 32, w: 32, c: 1 });
});

test("what is settled stays so when the configuration is read again", () => {
  for (const of of [jpeg, pixels]) {
    const settled = settledView(options(), of);
    expect(parseConfig({ data: settled }).data).toEqual(settled);
    expect(settledView(settled, of)).toEqual(settled);
  }
  const others = parseConfig({ data: { kind: "idx" } }).data;
  expect(settledView(others, { kind: "raw" })).toBe(others);
});

test("encoded images of any size are one size to the network", () => {
  const settled = settledView(options({ size: 96 }), jpeg);
  expect(seenShape({ shape: { h: 256, w: 256, c: 3 } }, settled)).toEqual({ h: 96, w: 96, c: 3 });
});

test("what contradicts is refused by name, with what to do", () => {
  expect(() => settledView(options({ pad: 2 }), jpeg)).toThrow(/data\.pad: .*got 2; leave it out/);
  expect(() => settledView(options({ size: 64, resize: 32 }), jpeg)).toThrow(/data\.resize: .*data\.size=64.*got 32/);
  expect(() => settledView(options({ augment: "random-resized-crop" }), pixels)).toThrow(/data\.augment: .*crop-flip/);
});

test("A37 of a store of clips one pair is drawn of each in an epoch and eight in evaluations, unless the run says otherwise", () => {
  expect(settledView(options(), clip)).toMatchObject({ draws: 1, testDraws: 8 });
  const settled = settledView(options({ draws: 16, testDraws: 2 }), clip);
  expect(settled).toMatchObject({ draws: 16, testDraws: 2 });
  expect(settledView(settled, clip)).toEqual(settled);
  expect(() => settledView(options({ size: 64 }), clip)).toThrow(/data\.size: the store holds clips.*got 64/);
  expect(() => settledView(options({ augment: "none" }), clip)).toThrow(/data\.augment: .*got none; leave it out/);
  expect(() => settledView(options({ pad: 2 }), clip)).toThrow(/data\.pad: .*got 2/);
  expect(() => settledView(options({ draws: 2 }), jpeg)).toThrow(/data\.draws: is of clips.*got 2; leave it out/);
  expect(() => settledView(options({ testDraws: 1 }), pixels)).toThrow(/data\.testDraws: is of clips/);
  expect(() => options({ draws: 4097 })).toThrow(/data\.draws/);
});
