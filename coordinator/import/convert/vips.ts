// Decoding and encoding by sharp (libvips), loaded when the first image needs it: a machine without its build can still
// import what needs neither. No profile is followed, no turn, and no pixel is guessed.

import type { Sharp, SharpOptions } from "sharp";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { MAX_JPEG_PIXELS } from "../../../shared/image/jpeg-header.ts";
import type { RgbImage } from "../../../shared/image/resize.ts";
import { type Orientation, orientationOr1 } from "../../../shared/image/upright.ts";
import type { ImageTarget } from "./outcome.ts";

type Load = (input: Uint8Array, options: SharpOptions) => Sharp;

let loaded: Promise<Load> | undefined;

/** Where sharp is not installed, or has no build for this machine. @param cause what the import of it threw */
export function sharpMissing(use: string, cause: Error & { readonly code?: string }): BitswarmError {
  const lacking = cause.code === "ERR_MODULE_NOT_FOUND" || cause.code === "MODULE_NOT_FOUND";
  const what = lacking ? "is not installed" : `cannot be loaded (${cause.message.split("\n")[0]})`;
  return new BitswarmError("RUNTIME_MISSING", `sharp, which ${use}, ${what}: npm install sharp`, { cause });
}

async function loadSharp(): Promise<Load> {
  const { default: sharp } = await import("sharp");
  // One image after another here, and other threads beside: nothing is kept.
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

/** @param use what is wanted of it, for a message */
async function sharpOf(use = "reads PNG, WebP and the like"): Promise<Load> {
  loaded ??= loadSharp();
  return await loaded.catch((cause: Error) => {
    throw sharpMissing(use, cause);
  });
}

const options: SharpOptions = { failOn: "truncated", ignoreIcc: true, limitInputPixels: MAX_JPEG_PIXELS };

async function raw(
  image: Sharp,
): Promise<{ readonly data: Buffer; readonly width: number; readonly height: number; readonly channels: number }> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

function asRgb({ data, width, height, channels }: Awaited<ReturnType<typeof raw>>): RgbImage {
  if (channels === 3) return { width, height, rgb: data };
  const pixels = width * height;
  const rgb = new Uint8Array(3 * pixels);
  for (let i = 0; i < pixels; i++) rgb.fill(data[i * channels], 3 * i, 3 * i + 3);
  return { width, height, rgb };
}

/** Width and height by the header alone, and what it says of turning. @throws Error with libvips' reason */
export async function vipsSize(
  bytes: Uint8Array,
): Promise<{ readonly width: number; readonly height: number; readonly orientation: Orientation }> {
  // Nothing is decoded: whoever asks compares with a limit, and says both.
  const image = (await sharpOf())(bytes, { ...options, limitInputPixels: false });
  const { width, height, orientation } = await image.metadata();
  return { width, height, orientation: orientationOr1(orientation) };
}

interface DecodeOptions {
  /** What it is made while it is read, so that it is never whole in memory; its own unless given. */
  readonly size?: { readonly width: number; readonly height: number } | undefined;
  /** What is not forgiven. */
  readonly failOn?: "truncated" | "warning";
}

/** The pixels of a picture of any kind, without what it says of transparency. @throws Error with libvips' reason */
export async function vipsDecode(
  bytes: Uint8Array,
  { size, failOn = "truncated" }: DecodeOptions = {},
): Promise<RgbImage> {
  let image = (await sharpOf())(bytes, { ...options, failOn, sequentialRead: true });
  if (size) image = image.resize({ ...size, fit: "fill" });
  return asRgb(await raw(image.removeAlpha().toColourspace("srgb")));
}

/** a · b / 255, rounded, as Pillow has it (ImagingUtils.h, MULDIV255). */
function share(a: number, b: number): number {
  const product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

/** CMYK without any profile: what ink leaves of white, and black of that (Pillow's Convert.c, cmyk2rgb). */
export async function vipsDecodeCmyk(bytes: Uint8Array): Promise<RgbImage> {
  const image = (await sharpOf())(bytes, options).pipelineColourspace("cmyk").toColourspace("cmyk");
  const { data, width, height, channels } = await raw(image);
  if (channels !== 4) throw new Error(`it has ${channels} channels; expected those of CMYK`);
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    const white = 255 - data[4 * i + 3];
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = Math.max(0, white - share(data[4 * i + c], white));
  }
  return { width, height, rgb };
}

/** Whether every pixel is grey. */
function isGrey(rgb: Uint8Array): boolean {
  for (let i = 0; i < rgb.length; i += 3) if (rgb[i] !== rgb[i + 1] || rgb[i] !== rgb[i + 2]) return false;
  return true;
}

/** A baseline JPEG without metadata; of one component where it is grey. */
export async function encodeJpeg(
  { width, height, rgb }: RgbImage,
  target: ImageTarget,
): Promise<Uint8Array<ArrayBuffer>> {
  const grey = isGrey(rgb);
  const pixels = grey ? rgb.filter((_, i) => i % 3 === 0) : rgb;
  const sharp = await sharpOf("encodes images");
  const image = sharp(pixels, { raw: { width, height, channels: grey ? 1 : 3 }, limitInputPixels: false });
  const { quality, subsampling } = target;
  const shown = grey ? image.toColourspace("b-w") : image;
  const encoded = await shown.jpeg({ quality, chromaSubsampling: subsampling, mozjpeg: false }).toBuffer();
  // Memory of its own, which can be transferred: sharp's may be a part of a pool.
  return Uint8Array.from(encoded);
}
