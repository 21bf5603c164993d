// A frame's file as pixels. Frames that are no JPEG come as PPM (P6, 8 bits), decoded by whoever has the files.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { JpegDecoder } from "../../shared/image/jpeg.ts";
import { isPpm, readPpm } from "../../shared/image/ppm.ts";
import type { RgbImage } from "../../shared/image/resize.ts";

/** @param name of the frame, for people. @throws DATA_INVALID for what is no whole picture */
export function decodeFrame(bytes: Uint8Array, jpeg: Pick<JpegDecoder, "decode">, name: string): RgbImage {
  try {
    return isPpm(bytes) ? readPpm(bytes) : jpeg.decode(bytes);
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    throw new BitswarmError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}
