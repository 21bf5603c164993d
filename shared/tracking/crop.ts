// A square part of a picture around a target, resized, as siamfc-pytorch cuts it: what lies outside the picture has its
// mean colour, and nothing is smoothed where it shrinks. By + − × ÷ and √ alone, so every engine has the same bytes.

import type { RgbImage } from "../image/resize.ts";
import type { Box, Centre } from "./box.ts";
import { roundHalfEven } from "./round-half-even.ts";

/** Of a picture, in whole pixels that count from 0; parts of it may lie outside. */
export interface Window {
  readonly top: number;
  readonly left: number;
  readonly side: number;
}

/** Red, green and blue. */
export type Fill = readonly [number, number, number];

export interface CropSizes {
  /** Of the target's surroundings, beside it: p = context · (w + h). */
  readonly context: number;
  /** Sides of what the network sees. */
  readonly exemplar: number;
  readonly instance: number;
}

export const cropSizes: CropSizes = { context: 0.5, exemplar: 127, instance: 255 };

/** Sides of the windows that become the exemplar and the search image, unrounded: s_z and s_x. */
export function cropSides(
  { w, h }: Pick<Box, "w" | "h">,
  { context, exemplar, instance }: CropSizes = cropSizes,
): { readonly exemplar: number; readonly search: number } {
  const p = context * (w + h);
  const side = Math.sqrt((w + p) * (h + p));
  return { exemplar: side, search: (side * instance) / exemplar };
}

/** The window of a side, which is rounded, about a middle. */
export function cropWindow({ y, x }: Centre, side: number): Window {
  const n = Math.max(1, roundHalfEven(side));
  return { top: roundHalfEven(y - (n - 1) / 2), left: roundHalfEven(x - (n - 1) / 2), side: n };
}

/** The mean of all pixels, rounded to whole values. */
export function meanColour({ width, height, rgb }: RgbImage): Fill {
  const sums = [0, 0, 0];
  for (let i = 0; i < rgb.length; i += 3) {
    sums[0]! += rgb[i]!;
    sums[1]! += rgb[i + 1]!;
    sums[2]! += rgb[i + 2]!;
  }
  const [red, green, blue] = sums.map((sum) => roundHalfEven(sum / (width * height)));
  return [red!, green!, blue!];
}

/** Of each output of an axis the two inputs that it lies between, and how far it is from the first. */
interface Between {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly share: Float64Array;
}

/** Half-pixel centres, clamped to the inputs: the border repeats. */
function between(inputs: number, outputs: number): Between {
  const low = new Int32Array(outputs);
  const high = new Int32Array(outputs);
  const share = new Float64Array(outputs);
  for (let i = 0; i < outputs; i++) {
    const at = Math.min(inputs - 1, Math.max(0, ((i + 0.5) * inputs) / outputs - 0.5));
    low[i] = Math.floor(at);
    high[i] = Math.min(inputs - 1, low[i]! + 1);
    share[i] = at - low[i]!;
  }
  return { low, high, share };
}

/** Outputs [first, first + count) of an axis of a square picture that is resized. */
export interface Shown {
  readonly first: number;
  readonly count: number;
}

export interface Resized {
  readonly window: Window;
  /** Side that the window gets. */
  readonly out: number;
  readonly rows: Shown;
  readonly columns: Shown;
  readonly fill: Fill;
}

/** Bytes of a row that lie left and right of each column that is shown, from the row's beginning; −1 for the fill. */
interface Columns {
  readonly west: Int32Array;
  readonly east: Int32Array;
  readonly share: Float64Array;
  /** None is the fill. */
  readonly inside: boolean;
}

function columnsOf({ width }: RgbImage, { window: { left }, out, columns }: Resized, taps: Between): Columns {
  const { first, count } = columns;
  const west = new Int32Array(count).fill(-1);
  const east = new Int32Array(count).fill(-1);
  const share = new Float64Array(count);
  const byte = (x: number) => (x >= 0 && x < width ? 3 * x : -1);
  for (let i = 0; i < count; i++) {
    const column = first + i;
    if (column < 0 || column >= out) continue;
    west[i] = byte(left + taps.low[column]!);
    east[i] = byte(left + taps.high[column]!);
    share[i] = taps.share[column]!;
  }
  return { west, east, share, inside: !west.includes(-1) && !east.includes(-1) };
}

/** A row of the picture, or of the fill beside it, blended along itself: [columns][3]. */
function blendRow({ width, height, rgb }: RgbImage, y: number, columns: Columns, fill: Fill, into: Float64Array): void {
  const row = y >= 0 && y < height ? 3 * width * y : -1;
  const { west, east, share, inside } = columns;
  if (inside && row >= 0) {
    // The usual case, without a question a pixel.
    for (let i = 0, to = 0; i < share.length; i++, to += 3) {
      const right = share[i]!;
      const a = row + west[i]!;
      const b = row + east[i]!;
      const [red, green, blue] = [rgb[a]!, rgb[a + 1]!, rgb[a + 2]!];
      into[to] = red + (rgb[b]! - red) * right;
      into[to + 1] = green + (rgb[b + 1]! - green) * right;
      into[to + 2] = blue + (rgb[b + 2]! - blue) * right;
    }
    return;
  }
  for (let i = 0, to = 0; i < share.length; i++, to += 3) {
    const right = share[i]!;
    const a = row < 0 ? -1 : west[i]!;
    const b = row < 0 ? -1 : east[i]!;
    for (let c = 0; c < 3; c++) {
      const from = a < 0 ? fill[c]! : rgb[row + a + c]!;
      const next = b < 0 ? fill[c]! : rgb[row + b + c]!;
      into[to + c] = from + (next - from) * right;
    }
  }
}

/** Calls `take` with each row that is shown: the two blended rows beside it, and how far it is from the first. */
function resample(
  image: RgbImage,
  resized: Resized,
  take: (row: number, high: Float64Array, low: Float64Array, down: number) => void,
): void {
  const { window, out, rows, fill } = resized;
  const taps = between(window.side, out);
  const columns = columnsOf(image, resized, taps);
  // A row of the picture lies beside several of the result.
  let high = { y: Number.NaN, values: new Float64Array(3 * resized.columns.count) };
  let low = { y: Number.NaN, values: new Float64Array(3 * resized.columns.count) };
  const blank = Number.NEGATIVE_INFINITY;
  const blended = (held: typeof high, y: number) => {
    if (held.y === y) return;
    held.y = y;
    blendRow(image, y === blank ? -1 : y, columns, fill, held.values);
  };
  for (let i = 0; i < rows.count; i++) {
    const row = rows.first + i;
    const shown = row >= 0 && row < out;
    const above = shown ? window.top + taps.low[row]! : blank;
    const below = shown ? window.top + taps.high[row]! : blank;
    if (low.y === above) [high, low] = [low, high];
    blended(high, above);
    if (below === above) {
      take(i, high.values, high.values, 0);
      continue;
    }
    blended(low, below);
    take(i, high.values, low.values, shown ? taps.share[row]! : 0);
  }
}

const WHOLE_ONLY = 1.5 * 2 ** 52;

/** Pixels of a resized window, u8 [rows][columns][3], each rounded. */
export function resampleBytes(image: RgbImage, resized: Resized, into: Uint8Array): Uint8Array {
  const line = 3 * resized.columns.count;
  resample(image, resized, (row, high, low, down) => {
    const at = row * line;
    for (let i = 0; i < line; i++) {
      const value = high[i]! + (low[i]! - high[i]!) * down;
      // As `roundHalfEven`: at this size a double has whole numbers alone, and what is between goes to the even side.
      into[at + i] = value + WHOLE_ONLY - WHOLE_ONLY;
    }
  });
  return into;
}

/** The same unrounded. */
export function resampleExactly(image: RgbImage, resized: Resized): Float64Array {
  const line = 3 * resized.columns.count;
  const values = new Float64Array(resized.rows.count * line);
  resample(image, resized, (row, high, low, down) => {
    for (let i = 0; i < line; i++) values[row * line + i] = high[i]! + (low[i]! - high[i]!) * down;
  });
  return values;
}

const whole = (window: Window, out: number, fill: Fill): Resized => {
  const all = { first: 0, count: out };
  return { window, out, rows: all, columns: all, fill };
};

/** What is in a window, resized to `out` × `out`. @param into u8 [out][out][3] */
export function cropBytes(
  image: RgbImage,
  window: Window,
  fill: Fill,
  out: number,
  into: Uint8Array = new Uint8Array(3 * out * out),
): Uint8Array {
  return resampleBytes(image, whole(window, out, fill), into);
}

/** The same unrounded. */
export function cropExactly(image: RgbImage, window: Window, fill: Fill, out: number): Float64Array {
  return resampleExactly(image, whole(window, out, fill));
}
