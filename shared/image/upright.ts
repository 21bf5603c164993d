// What EXIF says of turning a photograph, and the picture as a person sees it.

import type { RgbImage } from "./resize.ts";

/** 1 as it is, 2 mirrored, 3 by half a turn, 4 upside down; 5 to 8 have rows for columns (EXIF 2.3, tag 0x0112). */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const ORIENTATION_TAG = 0x0112;
const SHORT = 3;
/** Of an entry of a directory: tag, type, count and value. */
const ENTRY_BYTES = 12;

function isOrientation(value: number): value is Orientation {
  return Number.isInteger(value) && value >= 1 && value <= 8;
}

/** Of a value that may be missing or wrong: a picture that nothing true is said of is as it is. */
export function orientationOr1(value: number | undefined): Orientation {
  return value !== undefined && isOrientation(value) ? value : 1;
}

/** Of an EXIF block's TIFF, which is a stranger's: whatever is wrong with it, the picture is taken as it is. */
export function exifOrientation(tiff: Uint8Array): Orientation {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 8) return 1;
  const little = view.getUint16(0) === 0x4949;
  if (!little && view.getUint16(0) !== 0x4d4d) return 1;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return 1;
  const end = Math.min(tiff.length, directory + 2 + ENTRY_BYTES * view.getUint16(directory, little));
  for (let at = directory + 2; at + ENTRY_BYTES <= end; at += ENTRY_BYTES) {
    if (view.getUint16(at, little) === ORIENTATION_TAG && view.getUint16(at + 2, little) === SHORT) {
      return orientationOr1(view.getUint16(at + 8, little));
    }
  }
  return 1;
}

/** The picture turned and mirrored so that it is upright. */
export function upright(image: RgbImage, orientation: Orientation): RgbImage {
  if (orientation === 1) return image;
  const { width, height, rgb } = image;
  const swaps = orientation >= 5;
  const [w, h] = swaps ? [height, width] : [width, height];
  // Which of the file's axes run backwards as a person sees them.
  const right = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const below = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const turned = new Uint8Array(rgb.length);
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const [column, row] = swaps ? [y, x] : [x, y];
      const from = 3 * ((below ? height - 1 - row : row) * width + (right ? width - 1 - column : column));
      turned[to++] = rgb[from]!;
      turned[to++] = rgb[from + 1]!;
      turned[to++] = rgb[from + 2]!;
    }
  }
  return { width: w, height: h, rgb: turned };
}
