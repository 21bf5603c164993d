// From what a page, a file or a program holds of a picture to its pixels.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { RgbImage } from "../../shared/image/resize.ts";
import type { Picture, PlainPicture } from "./api.ts";

/** Longest side that is looked at: larger pictures are made smaller by the browser first. */
export const MOST_PICTURE_SIDE = 4096;

const NO_CANVAS = "there is no canvas here to read the picture by; give its pixels: {data, width, height}";

function invalid(what: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", what);
}

/** Transparency is left out, and colours are taken as they stand, as an import and Pillow's convert("RGB") do it. */
function ofPixels({ data, width, height }: PlainPicture): RgbImage {
  const isSide = (side: unknown) => Number.isSafeInteger(side) && (side as number) >= 1;
  if (!(isSide(width) && isSide(height))) {
    throw invalid(`a picture's width and height must be whole numbers from 1 on; got ${width} × ${height}`);
  }
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw invalid("a picture's data must be a Uint8Array or a Uint8ClampedArray, of 0 to 255 a channel");
  }
  const positions = width * height;
  const channels = data.length / positions;
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw invalid(
      `a picture of ${width} × ${height} must have 1, 3 or 4 bytes a pixel; got ${data.length} bytes: give [height][width][channels]`,
    );
  }
  const rgb = new Uint8Array(3 * positions);
  for (let p = 0; p < positions; p++) {
    for (let c = 0; c < 3; c++) rgb[3 * p + c] = data[p * channels + (channels === 1 ? 0 : c)];
  }
  return { width, height, rgb };
}

/** Its own size, which an element shows in another. */
function sizeOf(picture: Exclude<Picture, PlainPicture>): readonly [number, number] {
  if ("videoWidth" in picture) return [picture.videoWidth, picture.videoHeight];
  if ("naturalWidth" in picture) return [picture.naturalWidth, picture.naturalHeight];
  return [picture.width, picture.height];
}

/** @throws DATA_INVALID where there is none */
function canvasOf(width: number, height: number): OffscreenCanvas | HTMLCanvasElement {
  if (typeof OffscreenCanvas !== "undefined") return new OffscreenCanvas(width, height);
  if (typeof document === "undefined") throw invalid(NO_CANVAS);
  return Object.assign(document.createElement("canvas"), { width, height });
}

/**
 * @throws DATA_INVALID for what has no pixels, yet or at all, and where there is no canvas to read them by
 */
export function rgbOf(picture: Picture): RgbImage {
  if (typeof picture !== "object" || picture === null) {
    const got = picture === null ? "null" : typeof picture;
    throw invalid(
      `predict takes a picture: an ImageBitmap, a canvas, a video, an <img>, or {data, width, height}; got ${got}`,
    );
  }
  if ("data" in picture) return ofPixels(picture);
  const [width, height] = sizeOf(picture);
  if (typeof width !== "number" || typeof height !== "number") {
    throw invalid("the picture has no width and height; of pixels give {data, width, height}");
  }
  if (!(width > 0 && height > 0)) {
    throw invalid(`the picture has no pixels (${width} × ${height}); wait until it is loaded: await image.decode()`);
  }
  const scale = Math.min(1, MOST_PICTURE_SIDE / Math.max(width, height));
  const [w, h] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = canvasOf(w, h).getContext("2d", { willReadFrequently: true }) as
    | OffscreenCanvasRenderingContext2D
    | CanvasRenderingContext2D
    | null;
  if (!context) throw invalid(NO_CANVAS);
  context.drawImage(picture, 0, 0, w, h);
  return ofPixels(context.getImageData(0, 0, w, h));
}
