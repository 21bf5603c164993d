// Where a target is: a box as files of tracking data sets have it, corner and extent.

/** Left, top, width and height in pixels; `x` and `y` count from the base that goes with the box, 0 or 1. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** A middle in pixels that count from 0. */
export interface Centre {
  readonly y: number;
  readonly x: number;
}

/** Of a box whose pixels count from `base`: the middle of its pixels, not of its area. */
export function centreOf({ x, y, w, h }: Box, base: 0 | 1): Centre {
  return { y: y - base + (h - 1) / 2, x: x - base + (w - 1) / 2 };
}
