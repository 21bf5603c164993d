// What a network sees of a picture: drawn for training, the centre for evaluation.

import type { Rng } from "../base/rng.ts";
import { evaluationGeometry, type Range, randomResizedCrop } from "./crops.ts";
import type { Box, Size } from "./resize.ts";

export interface ViewOptions {
  /** Side of what is seen. */
  readonly size: number;
  /** The shorter side that a whole picture is resized to before a part of it is cut out. */
  readonly resize: number;
  /**
   * `random-resized-crop`: a box of any size and ratio; `crop-flip`: the whole picture resized, a part anywhere in it;
   * `none`: the centre of that, as in evaluation. The first two are mirrored every other time.
   */
  readonly augment: "none" | "crop-flip" | "random-resized-crop";
  /** Smallest and largest share of the picture's area, of `random-resized-crop`. */
  readonly area: Range;
}

/** Of the picture the box, resized to `size`; of that the window, then mirrored. */
export interface View {
  readonly box: Box;
  readonly size: Size;
  readonly window: Box;
  readonly flip: boolean;
}

/**
 * @param draws of one sample in one epoch; undefined for the evaluation's view
 */
export function drawView(options: ViewOptions, width: number, height: number, draws: Rng | undefined): View {
  const { size, resize, augment, area } = options;
  const whole: Box = { x: 0, y: 0, w: width, h: height };
  if (draws !== undefined && augment === "random-resized-crop") {
    const box = randomResizedCrop(draws, width, height, { area });
    const flip = draws.below(2) === 1;
    return { box, size: { width: size, height: size }, window: { x: 0, y: 0, w: size, h: size }, flip };
  }
  const centred = evaluationGeometry(width, height, resize, size);
  if (draws === undefined || augment === "none") return { box: whole, ...centred, flip: false };
  const y = draws.below(centred.size.height - size + 1);
  const x = draws.below(centred.size.width - size + 1);
  const flip = draws.below(2) === 1;
  return { box: whole, size: centred.size, window: { x, y, w: size, h: size }, flip };
}
