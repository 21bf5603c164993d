// Oracle cases of what a network sees of a frame, and of which frames and boxes it is shown.

import { z } from "zod";
import type { RgbImage } from "../../../shared/image/resize.ts";
import { centreOf } from "../../../shared/tracking/box.ts";
import { cropExactly, cropSides, cropWindow, meanColour } from "../../../shared/tracking/crop.ts";
import { labelMap } from "../../../shared/tracking/labels.ts";
import { usableFrames } from "../../../shared/tracking/pairs.ts";
import { type Polygon, polygonBox } from "../../../shared/tracking/polygon.ts";
import { trainViewExactly } from "../../../shared/tracking/train-view.ts";
import type { Comparison } from "../compare.ts";
import type { OracleCase } from "../oracle-case.ts";
import { rounded, same } from "../tolerance.ts";

function imageOf(test: OracleCase, name: string): RgbImage {
  const [height, width] = test.tensor(name).shape;
  return { width, height, rgb: test.bytes(name) };
}

const cropAttributes = z.object({
  box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  out: z.number(),
  exemplar: z.number(),
  context: z.number(),
  base: z.union([z.literal(0), z.literal(1)]),
  scale: z.number(),
});

export function verifyCrop(test: OracleCase): Comparison[] {
  const { box, out, exemplar, context, base, scale } = cropAttributes.parse(test.attributes);
  const [x, y, w, h] = box;
  const image = imageOf(test, "in.image");
  const sides = cropSides({ w, h }, { context, exemplar, instance: out });
  const window = cropWindow(centreOf({ x, y, w, h }, base), sides.search * scale);
  const fill = meanColour(image);
  return [
    same("fill", fill, test),
    same("window", [window.top, window.left, window.side], test),
    rounded("crop", cropExactly(image, window, fill, out), test),
  ];
}

const view = z.object({ stretch: z.number(), offset: z.tuple([z.number(), z.number()]) });
const viewAttributes = z.object({ instance: z.number(), exemplar: z.number(), margin: z.number(), z: view, x: view });

export function verifyTrainView(test: OracleCase): Comparison[] {
  const { z: ofExemplar, x: ofSearch, ...sizes } = viewAttributes.parse(test.attributes);
  const patch = imageOf(test, "in.patch");
  return [
    rounded("z", trainViewExactly(patch, ofExemplar, "exemplar", sizes), test),
    rounded("x", trainViewExactly(patch, ofSearch, "search", sizes), test),
  ];
}

export function verifyPolygon(test: OracleCase): Comparison[] {
  const { shape, data } = test.tensor("in.corners");
  const boxes = (rule: "extremes" | "same-area") =>
    Array.from({ length: shape[0] }, (_, i) => {
      const { x, y, w, h } = polygonBox([...data.subarray(8 * i, 8 * i + 8)] as unknown as Polygon, rule);
      return [x, y, w, h];
    }).flat();
  return [rounded("extremes", boxes("extremes"), test), rounded("same_area", boxes("same-area"), test)];
}

const filterAttributes = z.object({ width: z.number(), height: z.number() });

export function verifyPairFilter(test: OracleCase): Comparison[] {
  const size = filterAttributes.parse(test.attributes);
  const { shape, data } = test.tensor("in.anno");
  const boxes = Array.from({ length: shape[0] }, (_, i) => ({ w: data[4 * i + 2], h: data[4 * i + 3] }));
  const cover = [...test.tensor("in.cover").data];
  return [
    same("valid", usableFrames(boxes, size).map(Number), test),
    same("valid_with_cover", usableFrames(boxes, size, cover).map(Number), test),
  ];
}

const labelAttributes = z.object({ h: z.number(), w: z.number(), radius: z.number(), stride: z.number() });

export function verifyLabels(test: OracleCase): Comparison[] {
  const { h, w, ...rule } = labelAttributes.parse(test.attributes);
  const { labels, weights } = labelMap(h, w, rule);
  return [same("labels", labels, test), rounded("weights", weights, test)];
}
