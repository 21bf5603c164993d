// A polygon of four corners as a rectangle, in the two ways that VOT's toolkits have.

import type { Box } from "./box.ts";

/** x1, y1 … x4, y4, around. */
export type Polygon = readonly [number, number, number, number, number, number, number, number];

/**
 * `extremes`: the least rectangle around it. `same-area`: that about the mean of the corners, made smaller until it has
 * the area of the first two sides' rectangle, and a pixel larger (pysot's get_axis_aligned_bbox).
 */
export function polygonBox(corners: Polygon, rule: "extremes" | "same-area"): Box {
  const xs = [0, 2, 4, 6].map((i) => corners[i] as number);
  const ys = [1, 3, 5, 7].map((i) => corners[i] as number);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const [wide, high] = [Math.max(...xs) - left, Math.max(...ys) - top];
  if (rule === "extremes") return { x: left, y: top, w: wide, h: high };
  const side = (i: number) => Math.hypot(xs[i]! - xs[i + 1]!, ys[i]! - ys[i + 1]!);
  const scale = Math.sqrt((side(0) * side(1)) / (wide * high));
  const [w, h] = [scale * wide + 1, scale * high + 1];
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { x: mean(xs) - w / 2, y: mean(ys) - h / 2, w, h };
}
