// Raw pixels u8 [h][w][c] as an image of the network: padded and cropped by moving, mirrored, and the table by which
// they are normalised on the device.

import { BitswarmError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Dataset } from "../data/dataset.ts";

/** Zero pixels around an image before the random crop (He et al., "Deep residual learning", CVPR 2016, section 4.2). */
const CROP_PADDING = 4;

/** Where the image lies in the output, and whether it is mirrored. */
export interface Placement {
  /** Rows and columns that the image is moved down and to the right; negative cuts it. */
  readonly top: number;
  readonly left: number;
  readonly flip: boolean;
}

/** Writes an image of `shape` into one that has `pad` more pixels on each side, all of which are 0. */
export type DrawPixels = (into: Uint8Array, pixels: Uint8Array, draws: (() => Rng) | undefined) => void;

/** A crop of the image padded by 4 more, which `pad` zero pixels surround already: one draw a number. */
export function drawPlacement(draws: Rng, pad: number): Placement {
  const span = 2 * CROP_PADDING + 1;
  const top = pad + CROP_PADDING - draws.below(span);
  const left = pad + CROP_PADDING - draws.below(span);
  return { top, left, flip: draws.below(2) === 1 };
}

/** @param augment draws a crop of the image padded by 4, mirrored or not, where there are draws */
export function pixelDrawing(shape: Dataset["shape"], pad: number, augment: boolean): DrawPixels {
  const height = shape.h + 2 * pad;
  const width = shape.w + 2 * pad;

  const still: Placement = { top: pad, left: pad, flip: false };
  return (into, pixels, draws) => {
    const { top, left, flip } = draws && augment ? drawPlacement(draws(), pad) : still;
    const firstColumn = Math.max(0, -left);
    const columns = Math.min(shape.w, width - left) - firstColumn;
    const lastRow = Math.min(shape.h, height - top);
    for (let y = Math.max(0, -top); y < lastRow; y++) {
      const from = (y * shape.w + firstColumn) * shape.c;
      const row = (y + top) * width;
      if (!flip) {
        into.set(pixels.subarray(from, from + columns * shape.c), (row + firstColumn + left) * shape.c);
        continue;
      }
      const last = row + width - 1 - (firstColumn + left);
      for (let x = 0; x < columns; x++) {
        for (let c = 0; c < shape.c; c++) into[(last - x) * shape.c + c] = pixels[from + x * shape.c + c];
      }
    }
  };
}

type Normalised = Pick<Dataset, "shape" | "mean" | "std" | "name">;

/** @throws DATA_INVALID where means or standard deviations are not one a channel */
export function requireChannels({ shape, mean, std, name }: Normalised): void {
  if (mean.length === shape.c && std.length === shape.c) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${name} has ${shape.c} channels but ${mean.length} means and ${std.length} standard deviations`,
  );
}

/** (v/255 − mean)/std of each of the 256 values of a pixel, per channel, f32 [256][c]; a zero pixel is no 0. */
export function normaliseTable(dataset: Normalised): Float32Array<ArrayBuffer> {
  requireChannels(dataset);
  const { shape, mean, std } = dataset;
  return Float32Array.from({ length: 256 * shape.c }, (_, i) => {
    const channel = i % shape.c;
    return (Math.floor(i / shape.c) / 255 - mean[channel]) / std[channel];
  });
}
