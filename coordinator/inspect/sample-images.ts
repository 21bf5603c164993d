// A sample of a store as an image, whatever its media, and images as PNG.

import { BitswarmError } from "../../shared/base/errors.ts";
import { readClip } from "../../shared/data/clip.ts";
import { MEDIA_CLIP } from "../../shared/data/dataset.ts";
import { createJpegDecoder } from "../../shared/image/jpeg.ts";
import type { RgbImage } from "../../shared/image/resize.ts";
import { readJpegModule } from "../base/jpeg-module.ts";
import type { StoreManifest } from "../store/manifest.ts";

/** @throws DATA_INVALID for a content that is no image of the store's media */
export type ReadImage = (content: Uint8Array) => RgbImage;

function pixelsAsRgb({ h, w, c }: StoreManifest["shape"], content: Uint8Array): RgbImage {
  if (content.length !== h * w * c) {
    throw new BitswarmError("DATA_INVALID", `it has ${content.length} bytes; ${h} × ${w} × ${c} are ${h * w * c}`);
  }
  const rgb = new Uint8Array(3 * h * w);
  // One channel is grey; of four, the last says how much is seen, which training does not know.
  for (let at = 0; at < rgb.length; at++) rgb[at] = content[Math.floor(at / 3) * c + (c < 3 ? 0 : at % 3)]!;
  return { width: w, height: h, rgb };
}

export async function jpegReader(): Promise<ReadImage> {
  const decoder = await createJpegDecoder(await readJpegModule());
  return (content) => decoder.decode(content);
}

/** The first of a clip's crops, once all of them were decoded. */
function clipReader({ w, h }: StoreManifest["shape"], decode: ReadImage): ReadImage {
  return (content) => {
    const clip = readClip(content, "it");
    const images = clip.frames.map((frame, i) => {
      const image = decode(clip.crop(i).jpeg);
      if (image.width === w && image.height === h) return image;
      throw new BitswarmError(
        "DATA_INVALID",
        `its crop of frame ${frame} has ${image.width} × ${image.height} pixels; expected ${w} × ${h}`,
      );
    });
    return images[0]!;
  };
}

export async function imageReader({ media, shape }: StoreManifest): Promise<ReadImage> {
  if (media === "pixels") return (content) => pixelsAsRgb(shape, content);
  return media === MEDIA_CLIP ? clipReader(shape, await jpegReader()) : await jpegReader();
}

/** What is written over a picture, as the inside of an SVG. */
export interface Drawing {
  readonly svg: string;
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** @throws RUNTIME_MISSING where sharp is not installed */
export async function pngOf({ width, height, rgb }: RgbImage, drawing?: Drawing): Promise<Uint8Array> {
  const { default: sharp } = await import("sharp").catch((cause: Error) => {
    throw new BitswarmError(
      "RUNTIME_MISSING",
      `sharp, which writes PNG, cannot be loaded (${cause.message.split("\n")[0]}): \`npm install sharp\` where bitswarm is installed brings it`,
      { cause },
    );
  });
  const image = sharp(rgb, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  if (drawing) {
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${drawing.svg}</svg>`;
    image.composite([{ input: Buffer.from(svg), left: 0, top: 0 }]);
  }
  return image.png().toBuffer();
}

/** A white sheet that pictures are put on. */
export class Sheet {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array<ArrayBuffer>;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.rgb = new Uint8Array(3 * width * height).fill(255);
  }

  put({ width, height, rgb }: RgbImage, x: number, y: number): void {
    for (let row = 0; row < height; row++)
      this.rgb.set(rgb.subarray(3 * row * width, 3 * (row + 1) * width), 3 * ((y + row) * this.width + x));
  }
}
