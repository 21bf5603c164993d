// BMP, as old cameras and scanners wrote it: uncompressed, 8 bits with a palette, or 24 or 32 bits a pixel.

import { BitswarmError } from "../../../shared/base/errors.ts";
import type { RgbImage } from "../../../shared/image/resize.ts";

const FILE_HEADER = 14;
/** Of the header that Windows 3 brought, and every one since. */
const INFO_HEADER = 40;
const UNCOMPRESSED = 0;
/** Masks of channels, which all have as if there were none. */
const BIT_FIELDS = 3;

const refuse = (why: string) => new BitswarmError("DATA_INVALID", `the BMP cannot be read: ${why}`);

/** @throws DATA_INVALID for other kinds, for more pixels than `mostPixels` and for a file that ends early */
export function readBmp(bytes: Uint8Array, mostPixels: number): RgbImage {
  if (bytes.length < FILE_HEADER + INFO_HEADER) throw refuse(`it has ${bytes.length} bytes, less than its header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getUint32(FILE_HEADER, true);
  const [width, signedHeight] = [view.getInt32(18, true), view.getInt32(22, true)];
  const height = Math.abs(signedHeight);
  const bits = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  if (headerBytes < INFO_HEADER) throw refuse(`its header has ${headerBytes} bytes; ${INFO_HEADER} or more are read`);
  if (width < 1 || height < 1) throw refuse(`its header says ${width} × ${height} pixels`);
  if (width * height > mostPixels)
    throw refuse(`its header says ${width} × ${height} pixels; at most ${mostPixels} are read`);
  if (![8, 24, 32].includes(bits) || (compression !== UNCOMPRESSED && compression !== BIT_FIELDS)) {
    throw refuse(`it has ${bits} bits a pixel and compression ${compression}; 8, 24 and 32 bits without any are read`);
  }
  const from = view.getUint32(10, true);
  const line = Math.ceil((width * bits) / 32) * 4;
  if (from + line * height > bytes.length)
    throw refuse(`it ends after ${bytes.length} of ${from + line * height} bytes`);
  const palette = FILE_HEADER + headerBytes;
  const colours = view.getUint32(46, true) || 256;
  if (bits === 8 && palette + 4 * colours > bytes.length) throw refuse("its palette is cut off");
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0, at = 0; y < height; y++) {
    // Lines go upwards unless the height is negative.
    const row = from + line * (signedHeight > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++) {
      const pixel = bits === 8 ? palette + 4 * Math.min(bytes[row + x], colours - 1) : row + (x * bits) / 8;
      rgb[at++] = bytes[pixel + 2];
      rgb[at++] = bytes[pixel + 1];
      rgb[at++] = bytes[pixel];
    }
  }
  return { width, height, rgb };
}
