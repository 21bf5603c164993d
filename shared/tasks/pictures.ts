// How an image of a data set becomes the network's: by what its content is, raw pixels or a JPEG.

import { BitswarmError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { DataOptions } from "../data/data-kinds.ts";
import { type Dataset, MEDIA_JPEG, MEDIA_PIXELS } from "../data/dataset.ts";
import { drawView, type ViewOptions } from "../image/view.ts";
import { pixelDrawing } from "./pixels.ts";
import type { DecoderData, ImageDecoders } from "./sample-tensors.ts";

/**
 * Draws the content of a sample.
 * @param into full of zeros
 * @throws DATA_INVALID
 */
export type DrawPicture = (into: Uint8Array, content: Uint8Array, draws: (() => Rng) | undefined, name: string) => void;

/** @throws DATA_INVALID for what nobody here can decode */
export function pictureDrawing({ dataset, data, images = {} }: DecoderData): DrawPicture {
  const { format, name } = dataset;
  if (format.kind === "raw" || format.media === MEDIA_PIXELS) return drawPixels(dataset, data);
  if (format.media === MEDIA_JPEG) return drawJpeg(dataset, viewOptions(dataset, data), images);
  throw new BitswarmError(
    "DATA_INVALID",
    `samples of ${name} are ${format.media}; this worker decodes raw pixels and ${MEDIA_JPEG}: update it, or reload the page`,
  );
}

function drawPixels({ shape }: Dataset, { pad, augment }: DataOptions): DrawPicture {
  const draw = pixelDrawing(shape, pad, augment === "crop-flip");
  const expected = shape.h * shape.w * shape.c;
  return (into, content, draws, name) => {
    if (content.length !== expected) {
      throw new BitswarmError(
        "DATA_INVALID",
        `${name} must be ${expected} bytes, pixels of ${shape.h} × ${shape.w} × ${shape.c}; got ${content.length}`,
      );
    }
    draw(into, content, draws);
  };
}

function drawJpeg({ name: dataset }: Dataset, options: ViewOptions, { jpeg }: ImageDecoders): DrawPicture {
  return (into, content, draws, name) => {
    if (!jpeg) throw new RangeError(`${dataset} holds JPEGs, and no decoder of theirs was given`);
    try {
      jpeg.see(content, (width, height) => drawView(options, width, height, draws?.()), into);
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      throw new BitswarmError(error.code, `${name}: ${error.message}`, { cause: error });
    }
  };
}

/** @throws DATA_INVALID for options that do not say what is seen of an image, or images of other channels */
function viewOptions({ name, shape }: Dataset, { size, resize, augment, area }: DataOptions): ViewOptions {
  if (size === undefined || resize === undefined || augment === undefined || area === undefined || shape.c !== 3) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${name} holds JPEGs of ${shape.c} channels; the run must say data.size, resize, augment and area for 3: update the coordinator`,
    );
  }
  return { size, resize, augment, area };
}
