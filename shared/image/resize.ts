// Antialiased bilinear resizing in integers, the bytes of Pillow's `crop(box).resize(size, BILINEAR)`: first along
// rows, then down columns, each pass rounded to bytes. resize-kernels.ts has the same for pictures in a WebAssembly
// memory.

import { ONE, type Taps, tapsOf, WEIGHT_BITS } from "./taps.ts";

/** A picture as the decoder gives it. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** [height][width][3]. */
  readonly rgb: Uint8Array;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Left, top, width and height in pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

const HALF = 2 ** (WEIGHT_BITS - 1);

/** Rows between the passes; grown as needed, since every picture of a run needs about as many. */
let between = new Uint8Array(0);
/** Larger ones are not kept. */
const MOST_KEPT_BYTES = 16 * 2 ** 20;

function rowsBetween(bytes: number): Uint8Array {
  if (bytes > MOST_KEPT_BYTES) return new Uint8Array(bytes);
  if (between.length < bytes) between = new Uint8Array(bytes);
  return between;
}

/** Along a row: `from` and `into` are where the rows begin. */
function alongRow(source: Uint8Array, from: number, taps: Taps, target: Uint8Array, into: number): void {
  const { start, count, weights, most } = taps;
  const outputs = start.length;
  let to = into;
  for (let o = 0; o < outputs; o++) {
    let at = from + start[o]! * 3;
    let tap = o * most;
    const end = tap + count[o]!;
    let red = HALF;
    let green = HALF;
    let blue = HALF;
    for (; tap < end; tap++) {
      const weight = weights[tap]!;
      red = (red + Math.imul(source[at]!, weight)) | 0;
      green = (green + Math.imul(source[at + 1]!, weight)) | 0;
      blue = (blue + Math.imul(source[at + 2]!, weight)) | 0;
      at += 3;
    }
    // Weights of many taps may round to a little more than one together.
    red >>= WEIGHT_BITS;
    green >>= WEIGHT_BITS;
    blue >>= WEIGHT_BITS;
    target[to] = Math.min(red, 255);
    target[to + 1] = Math.min(green, 255);
    target[to + 2] = Math.min(blue, 255);
    to += 3;
  }
}

/** One row of the result from `count` rows of `source`, each `sums.length` bytes. */
function downColumns(
  source: Uint8Array,
  from: number,
  weights: Int32Array,
  tap: number,
  count: number,
  sums: Int32Array,
  target: Uint8Array,
  into: number,
): void {
  const bytes = sums.length;
  const first = weights[tap]!;
  if (count === 1 && first === ONE) {
    target.set(source.subarray(from, from + bytes), into);
    return;
  }
  for (let x = 0; x < bytes; x++) sums[x] = (HALF + Math.imul(source[from + x]!, first)) | 0;
  for (let i = 1; i < count - 1; i++) {
    const weight = weights[tap + i]!;
    const row = from + i * bytes;
    for (let x = 0; x < bytes; x++) sums[x] = (sums[x]! + Math.imul(source[row + x]!, weight)) | 0;
  }
  const last = count > 1 ? weights[tap + count - 1]! : 0;
  const row = from + (count - 1) * bytes;
  for (let x = 0; x < bytes; x++) {
    const value = (sums[x]! + Math.imul(source[row + x]!, last)) >> WEIGHT_BITS;
    target[into + x] = Math.min(value, 255);
  }
}

/** @throws RangeError for a box that is not within */
export function requireInside(what: string, { x, y, w, h }: Box, { width, height }: Size): void {
  const whole = [x, y, w, h].every(Number.isInteger);
  if (!whole || x < 0 || y < 0 || w < 1 || h < 1 || x + w > width || y + h > height)
    throw new RangeError(`${what} ${w} × ${h} at (${x}, ${y}) is not within ${width} × ${height} pixels`);
}

/**
 * What is in `box`, resized to `size`; of that only what is in `window`, whatever lies outside costs nothing. Pixels
 * beside the box do not count: it is cropped, then resized.
 * @param into where the bytes go, [h][w][3] of the window
 * @throws RangeError for a box outside the image, or a window outside the size
 */
export function resizeCrop(
  image: RgbImage,
  box: Box,
  size: Size,
  window: Box = { x: 0, y: 0, w: size.width, h: size.height },
  into: Uint8Array = new Uint8Array(3 * window.w * window.h),
): Uint8Array {
  requireInside("a box of", box, image);
  requireInside("a window of", window, size);
  const line = 3 * window.w;
  if (into.length !== line * window.h)
    throw new RangeError(`${into.length} bytes for ${window.w} × ${window.h} pixels`);
  const across = tapsOf(box.w, size.width, window.x, window.w);
  const down = tapsOf(box.h, size.height, window.y, window.h);

  const top = down.start[0]!;
  const rows = down.start[window.h - 1]! + down.count[window.h - 1]! - top;
  const narrowed = rowsBetween(rows * line);
  for (let row = 0; row < rows; row++)
    alongRow(image.rgb, 3 * ((box.y + top + row) * image.width + box.x), across, narrowed, row * line);

  const sums = new Int32Array(line);
  for (let o = 0; o < window.h; o++) {
    const from = (down.start[o]! - top) * line;
    downColumns(narrowed, from, down.weights, o * down.most, down.count[o]!, sums, into, o * line);
  }
  return into;
}

/** Swaps left and right, in place. @param pixels [h][width][3] */
export function mirror(pixels: Uint8Array, width: number): void {
  const line = 3 * width;
  for (let row = 0; row < pixels.length; row += line) {
    for (let left = row, right = row + line - 3; left < right; left += 3, right -= 3) {
      for (let c = 0; c < 3; c++) {
        const value = pixels[left + c]!;
        pixels[left + c] = pixels[right + c]!;
        pixels[right + c] = value;
      }
    }
  }
}
