// What a network in training sees of a stored crop: stretched a little, moved a little, and of an exemplar the middle
// alone. The target stays in the middle but for the move.

import type { Rng } from "../base/rng.ts";
import type { RgbImage } from "../image/resize.ts";
import { type Fill, resampleBytes, resampleExactly } from "./crop.ts";
import { roundHalfEven } from "./round-half-even.ts";

export interface ViewSizes {
  /** Side of a stored crop. */
  readonly instance: number;
  /** Side of what is seen of an exemplar. */
  readonly exemplar: number;
  /** So many pixels are cut off a stretched crop's middle, and as many again by a random move. */
  readonly margin: number;
}

export const viewSizes: ViewSizes = { instance: 255, exemplar: 127, margin: 8 };

/** Most that a side is stretched or shrunk, as a share. */
export const MOST_STRETCH = 0.05;

/** What is drawn of one crop. */
export interface TrainView {
  readonly stretch: number;
  /** Rows and columns, 0 to the margin: half of it leaves the target in the middle. */
  readonly offset: readonly [number, number];
}

/** Side of what is seen of a search image. */
export function searchSide({ instance, margin }: ViewSizes): number {
  return instance - 2 * margin;
}

export function drawTrainView(draws: Rng, { margin }: ViewSizes = viewSizes): TrainView {
  const stretch = 1 + MOST_STRETCH * (2 * draws.uniform() - 1);
  const row = draws.below(margin + 1);
  return { stretch, offset: [row, draws.below(margin + 1)] };
}

/** The crop's mean, unrounded. */
function meanOf({ width, height, rgb }: RgbImage): Fill {
  const sums = [0, 0, 0];
  for (let i = 0; i < rgb.length; i++) sums[i % 3]! += rgb[i]!;
  const [red, green, blue] = sums.map((sum) => sum / (width * height));
  return [red!, green!, blue!];
}

function shown(patch: RgbImage, view: TrainView, sizes: ViewSizes, part: "exemplar" | "search") {
  const { instance, exemplar, margin } = sizes;
  const out = roundHalfEven(instance * view.stretch);
  const search = searchSide(sizes);
  const count = part === "search" ? search : exemplar;
  const middle = roundHalfEven((out - (instance - margin)) / 2);
  const within = part === "search" ? 0 : roundHalfEven((search - exemplar) / 2);
  const from = (offset: number) => ({ first: middle + offset + within, count });
  const window = { top: 0, left: 0, side: instance };
  // A crop that shrank below the middle is filled up.
  const fill: Fill = out < instance - margin ? meanOf(patch) : [0, 0, 0];
  return { window, out, rows: from(view.offset[0]), columns: from(view.offset[1]), fill };
}

/**
 * @param patch a stored crop, as large as `sizes.instance` says
 * @param into u8 [side][side][3], of the exemplar's or the search image's side
 */
export function trainView(
  patch: RgbImage,
  view: TrainView,
  part: "exemplar" | "search",
  into: Uint8Array,
  sizes: ViewSizes = viewSizes,
): Uint8Array {
  return resampleBytes(patch, shown(patch, view, sizes, part), into);
}

/** The same unrounded. */
export function trainViewExactly(
  patch: RgbImage,
  view: TrainView,
  part: "exemplar" | "search",
  sizes: ViewSizes = viewSizes,
): Float64Array {
  return resampleExactly(patch, shown(patch, view, sizes, part));
}
