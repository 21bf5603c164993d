// Which part of a picture the network sees: torchvision's RandomResizedCrop, and its Resize with CenterCrop, from
// arithmetic that is the same in every engine (elementary.ts).

import { roundToEven } from "../base/powers-of-two.ts";
import type { Rng } from "../base/rng.ts";
import { exponential, logarithm } from "./elementary.ts";
import type { Box, Size } from "./resize.ts";

/** Smallest and largest. */
export type Range = readonly [smallest: number, largest: number];

/** torchvision's, which published numbers were trained with. */
export const CROP_AREA: Range = [0.08, 1];
export const CROP_RATIO: Range = [3 / 4, 4 / 3];
const TRIES = 10;

export interface CropOptions {
  /** Share of the picture's area, drawn uniformly. */
  readonly area?: Range;
  /** Width by height, whose logarithm is drawn uniformly. */
  readonly ratio?: Range;
}

const within = (rng: Rng, [low, high]: Range) => low + (high - low) * rng.uniform();

/** The largest centred box whose ratio is within the range. */
function centredBox(width: number, height: number, [narrowest, widest]: Range): Box {
  const ratio = width / height;
  const w = ratio > widest ? Math.max(1, Math.min(width, roundToEven(height * widest))) : width;
  const h = ratio < narrowest ? Math.max(1, Math.min(height, roundToEven(width / narrowest))) : height;
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), w, h };
}

/**
 * The box of a picture that one sample shows in one epoch. Draws two numbers a try, and two more for the corner (top,
 * then left) of one that fits; after ten that do not, the centre.
 */
export function randomResizedCrop(
  rng: Rng,
  width: number,
  height: number,
  { area = CROP_AREA, ratio = CROP_RATIO }: CropOptions = {},
): Box {
  const logRatio: Range = [logarithm(ratio[0]), logarithm(ratio[1])];
  for (let i = 0; i < TRIES; i++) {
    const target = width * height * within(rng, area);
    const aspect = exponential(within(rng, logRatio));
    const w = roundToEven(Math.sqrt(target * aspect));
    const h = roundToEven(Math.sqrt(target / aspect));
    if (w < 1 || w > width || h < 1 || h > height) continue;
    const y = rng.below(height - h + 1);
    const x = rng.below(width - w + 1);
    return { x, y, w, h };
  }
  return centredBox(width, height, ratio);
}

export interface EvaluationGeometry {
  /** Of the whole picture, resized. */
  readonly size: Size;
  /** The part of it that is seen. */
  readonly window: Box;
}

/**
 * The shorter side becomes `resize`, the other in proportion, rounded down; of that the centre, `crop` by `crop`.
 * @throws RangeError where the crop is larger than that
 */
export function evaluationGeometry(width: number, height: number, resize: number, crop: number): EvaluationGeometry {
  if (crop > resize) throw new RangeError(`a crop of ${crop} is larger than a shorter side of ${resize}`);
  const size =
    width < height
      ? { width: resize, height: Math.trunc((resize * height) / width) }
      : { width: Math.trunc((resize * width) / height), height: resize };
  const corner = (side: number) => roundToEven((side - crop) / 2);
  return { size, window: { x: corner(size.width), y: corner(size.height), w: crop, h: crop } };
}
