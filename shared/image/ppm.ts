// Netpbm's plainest colour picture, P6 with 8 bits: what frames of other kinds than JPEG travel as, decoded.

import { BitswarmError } from "../base/errors.ts";
import type { RgbImage } from "./resize.ts";

/** Of a side, in pixels: JPEG has no larger one. */
export const MAX_PPM_SIDE = 65_535;
/** Of the header: a magic, two sides and a depth. */
const MOST_HEADER = 32;

export function isPpm(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x36;
}

export function writePpm({ width, height, rgb }: RgbImage): Uint8Array<ArrayBuffer> {
  const head = Uint8Array.from(`P6\n${width} ${height}\n255\n`, (letter) => letter.charCodeAt(0));
  const bytes = new Uint8Array(head.length + rgb.length);
  bytes.set(head);
  bytes.set(rgb, head.length);
  return bytes;
}

/** @throws DATA_INVALID for what is none, or not whole */
export function readPpm(bytes: Uint8Array): RgbImage {
  const head = /^P6\n(\d{1,5}) (\d{1,5})\n255\n/.exec(String.fromCharCode(...bytes.subarray(0, MOST_HEADER)));
  const [width, height] = head ? [Number(head[1]), Number(head[2])] : [0, 0];
  if (!head || width < 1 || height < 1 || width > MAX_PPM_SIDE || height > MAX_PPM_SIDE) {
    throw new BitswarmError("DATA_INVALID", "the picture is no PPM as this program writes it; write it anew");
  }
  const rgb = bytes.subarray(head[0].length);
  if (rgb.length !== width * height * 3) {
    throw new BitswarmError(
      "DATA_INVALID",
      `the PPM of ${width} × ${height} must have ${width * height * 3} bytes of pixels; got ${rgb.length}`,
    );
  }
  return { width, height, rgb };
}
