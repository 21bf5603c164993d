// How far a tracker's box is from the truth: overlap and distance of centres, in continuous coordinates (the GOT-10k
// toolkit's; OTB's Matlab code).

import type { Box } from "./box.ts";

/** A number everywhere, and an area. */
export function hasArea({ x, y, w, h }: Box): boolean {
  return Number.isFinite(x) && Number.isFinite(y) && Number.isFinite(w) && Number.isFinite(h) && w > 0 && h > 0;
}

export function hasNaN({ x, y, w, h }: Box): boolean {
  return Number.isNaN(x) || Number.isNaN(y) || Number.isNaN(w) || Number.isNaN(h);
}

/** Intersection over union, 0 to 1; 0 for a box that is none. */
export function overlapOf(a: Box, b: Box): number {
  if (!hasArea(a) || !hasArea(b)) return 0;
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  if (w <= 0 || h <= 0) return 0;
  const both = w * h;
  return Math.min(1, both / (a.w * a.h + b.w * b.h - both));
}

/** From centre to centre, in pixels or, by `scale`, in other units a side; NaN for a box that has none. */
export function centreError(
  a: Box,
  b: Box,
  scale: { readonly w: number; readonly h: number } = { w: 1, h: 1 },
): number {
  const dx = (a.x + (a.w - 1) / 2 - (b.x + (b.w - 1) / 2)) / scale.w;
  const dy = (a.y + (a.h - 1) / 2 - (b.y + (b.h - 1) / 2)) / scale.h;
  return Math.hypot(dx, dy);
}
