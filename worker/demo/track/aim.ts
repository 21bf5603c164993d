// Where a target is said to be, by pointer or by keys: a box in pixels of the picture, always within it.

import type { Box } from "../../../shared/tracking/box.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Pixels of a side below which there is nothing to see in a box. */
export const LEAST_SIDE = 8;
/** Of the shorter side of the picture: the box that keys begin with. */
const FIRST_SHARE = 0.25;
/** Of the shorter side: a key's step. */
const STEP_SHARE = 0.02;

const within = (value: number, least: number, most: number) => Math.min(Math.max(value, least), Math.max(least, most));

/** Where a pointer is in the picture, which is shown as large as fits and in the middle. */
export function pointIn(
  { clientX, clientY }: { readonly clientX: number; readonly clientY: number },
  field: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
  picture: Size,
): Point {
  const scale = Math.min(field.width / picture.width, field.height / picture.height);
  const [left, top] = [
    field.left + (field.width - scale * picture.width) / 2,
    field.top + (field.height - scale * picture.height) / 2,
  ];
  return {
    x: within((clientX - left) / scale, 0, picture.width),
    y: within((clientY - top) / scale, 0, picture.height),
  };
}

/** The box between where a pointer went down and where it is. */
export function draggedBox(from: Point, to: Point): Box {
  return {
    x: Math.min(from.x, to.x),
    y: Math.min(from.y, to.y),
    w: Math.abs(to.x - from.x),
    h: Math.abs(to.y - from.y),
  };
}

/** Whether there is something to follow in it: a click is no box. */
export function isTarget({ w, h }: Box): boolean {
  return w >= LEAST_SIDE && h >= LEAST_SIDE;
}

/** In the middle. */
export function firstBox({ width, height }: Size): Box {
  const side = Math.max(LEAST_SIDE, FIRST_SHARE * Math.min(width, height));
  return { x: (width - side) / 2, y: (height - side) / 2, w: side, h: side };
}

const arrows: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** The box after a key: an arrow moves it, with `resize` its lower right corner alone. Undefined for another key. */
export function keyedBox(box: Box, key: string, resize: boolean, picture: Size): Box | undefined {
  const arrow = arrows[key];
  if (arrow === undefined) return undefined;
  const step = Math.max(1, Math.round(STEP_SHARE * Math.min(picture.width, picture.height)));
  const [dx, dy] = [arrow.x * step, arrow.y * step];
  if (resize) {
    return {
      ...box,
      w: within(box.w + dx, LEAST_SIDE, picture.width - box.x),
      h: within(box.h + dy, LEAST_SIDE, picture.height - box.y),
    };
  }
  return { ...box, x: within(box.x + dx, 0, picture.width - box.w), y: within(box.y + dy, 0, picture.height - box.h) };
}
