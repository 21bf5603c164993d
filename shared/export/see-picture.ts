// From a picture of any size to what the network takes: the bytes that evaluations see, and the values that they
// become.

import { BitswarmError } from "../base/errors.ts";
import { roundToEven } from "../base/powers-of-two.ts";
import { type RgbImage, resizeCrop, type Size } from "../image/resize.ts";
import { normaliseTable, pixelDrawing } from "../tasks/pixels.ts";
import type { ExportedInput, Sides } from "./exported-model.ts";

/** The least size that keeps the picture's ratio and covers `resize`: torchvision's Resize where that is square. */
export function coveringSize({ width, height }: Size, { h, w }: Sides): Size {
  return width * h < height * w
    ? { width: w, height: Math.trunc((w * height) / width) }
    : { width: Math.trunc((h * width) / height), height: h };
}

/** Luma of ITU-R 601 in integers, as Pillow makes a picture grey. */
function greyOf(rgb: Uint8Array): Uint8Array<ArrayBuffer> {
  const grey = new Uint8Array(rgb.length / 3);
  for (let i = 0, at = 0; i < grey.length; i++, at += 3) {
    grey[i] = (19_595 * rgb[at]! + 38_470 * rgb[at + 1]! + 7471 * rgb[at + 2]! + 0x8000) >> 16;
  }
  return grey;
}

/**
 * What evaluations would see of the picture, [h][w][c] of the input.
 * @throws MODEL_INVALID for a network whose input is neither grey nor of three colours
 */
export function seenPixels(input: ExportedInput, image: RgbImage): Uint8Array<ArrayBuffer> {
  const { resize, crop, pad, c } = input;
  if (c !== 1 && c !== 3) {
    throw new BitswarmError("MODEL_INVALID", `the network takes ${c} channels; pictures have 1 or 3`);
  }
  const size = coveringSize(image, resize);
  const corner = (side: number, seen: number) => roundToEven((side - seen) / 2);
  const window = { x: corner(size.width, crop.w), y: corner(size.height, crop.h), w: crop.w, h: crop.h };
  const whole = { x: 0, y: 0, w: image.width, h: image.height };
  const rgb = new Uint8Array(3 * crop.w * crop.h);
  resizeCrop(image, whole, size, window, rgb);
  const pixels = c === 1 ? greyOf(rgb) : rgb;
  if (pad === 0) return pixels;
  const padded = new Uint8Array(input.h * input.w * c);
  pixelDrawing({ h: crop.h, w: crop.w, c }, pad, false)(padded, pixels, undefined);
  return padded;
}

/** What each value of a pixel becomes, f32 [256][c]. */
export function inputTable({ h, w, c, mean, std, name }: ExportedInput): Float32Array<ArrayBuffer> {
  return normaliseTable({ name, shape: { h, w, c }, mean: [...mean], std: [...std] });
}

/** What the network computes with, f32 [h][w][c], of pixels u8 [h][w][c]. */
export function inputValues(input: ExportedInput, pixels: Uint8Array): Float32Array<ArrayBuffer> {
  const { h, w, c, name } = input;
  if (pixels.length !== h * w * c) {
    throw new RangeError(`${name} takes ${h * w * c} pixels of ${h} × ${w} × ${c}; got ${pixels.length}`);
  }
  const table = inputTable(input);
  return Float32Array.from(pixels, (value, i) => table[value * c + (i % c)]!);
}
