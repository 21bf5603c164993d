// The pixels of a person's picture, whatever its kind: a JPEG by the decoder that workers and evaluations have, all
// else as an import would read it.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { createJpegDecoder, type JpegDecoder } from "../../../shared/image/jpeg.ts";
import { inspectJpeg, jpegOrientation, MAX_JPEG_PIXELS } from "../../../shared/image/jpeg-header.ts";
import type { RgbImage } from "../../../shared/image/resize.ts";
import { type Orientation, upright } from "../../../shared/image/upright.ts";
import { readJpegModule } from "../../base/jpeg-module.ts";
import { readBmp } from "./bmp.ts";
import { MOST_OTHER_PIXELS } from "./convert-image.ts";
import { type ImageKind, imageKind, inWords } from "./image-kind.ts";
import { vipsDecode, vipsDecodeCmyk, vipsSize } from "./vips.ts";

/** @throws DATA_INVALID for what is no picture, or larger than is decoded; RUNTIME_MISSING where sharp is needed */
export type DecodePicture = (bytes: Uint8Array) => Promise<RgbImage>;

function invalid(why: string, cause?: unknown): BitswarmError {
  return new BitswarmError("DATA_INVALID", `it cannot be decoded: ${why}`, { cause });
}

type Turned = readonly [image: RgbImage, orientation: Orientation];

async function decodeJpeg(bytes: Uint8Array, decoder: JpegDecoder): Promise<Turned> {
  const { width, height, components } = inspectJpeg(bytes);
  if (width * height > MAX_JPEG_PIXELS) {
    throw invalid(`its header says ${width} × ${height} pixels; at most ${MAX_JPEG_PIXELS} are decoded`);
  }
  const image = components === 4 ? await vipsDecodeCmyk(bytes) : decoder.decode(bytes);
  return [image, jpegOrientation(bytes)];
}

async function decodeOther(bytes: Uint8Array): Promise<Turned> {
  const { width, height, orientation } = await vipsSize(bytes);
  if (width * height > MOST_OTHER_PIXELS) {
    throw invalid(
      `its header says ${width} × ${height} pixels; at most ${MOST_OTHER_PIXELS} are decoded of what is no JPEG`,
    );
  }
  return [await vipsDecode(bytes), orientation];
}

interface PictureDecoderOptions {
  /** Turned as a person sees it, by what EXIF says; evaluations see the file's own pixels, as an import does. */
  readonly turned?: boolean;
  /** Of whoever has one already. */
  readonly jpeg?: JpegDecoder;
}

/** What a picture says of transparency is left out: its colours stand as they are. */
export async function pictureDecoder({
  turned = false,
  jpeg: given,
}: PictureDecoderOptions = {}): Promise<DecodePicture> {
  const jpeg = given ?? (await createJpegDecoder(await readJpegModule()));
  const decode = async (bytes: Uint8Array, kind: ImageKind): Promise<Turned> => {
    if (kind === "JPEG") return decodeJpeg(bytes, jpeg);
    return kind === "BMP" ? [readBmp(bytes, MOST_OTHER_PIXELS), 1] : decodeOther(bytes);
  };
  return async (bytes) => {
    const kind = imageKind(bytes);
    if (kind === undefined) throw invalid(inWords(bytes));
    try {
      const [image, orientation] = await decode(bytes, kind);
      return turned ? upright(image, orientation) : image;
    } catch (error) {
      if (error instanceof BitswarmError) throw error;
      throw invalid((error as Error).message.split("\n")[0], error);
    }
  };
}
