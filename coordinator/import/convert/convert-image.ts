// The verdict of a file: used, as its own bytes or made smaller; converted, where a worker's decoder would not read it
// or would see something else; or rejected, with the reason. Same bytes in, same bytes out, whatever ran before.

import { BitswarmError } from "../../../shared/base/errors.ts";
import type { JpegDecoder } from "../../../shared/image/jpeg.ts";
import { inspectJpeg, type JpegFacts, MAX_JPEG_PIXELS, withoutMetadata } from "../../../shared/image/jpeg-header.ts";
import { type RgbImage, resizeCrop } from "../../../shared/image/resize.ts";
import { readBmp } from "./bmp.ts";
import { type ImageKind, imageKind, inWords } from "./image-kind.ts";
import type { ImageTarget, Outcome } from "./outcome.ts";
import { encodeJpeg, vipsDecode, vipsDecodeCmyk, vipsSize } from "./vips.ts";

/** Pixels of an image that is large: of such, one at a time is in memory. */
export const LARGE_PIXELS = 2 ** 22;
/** Pixels beyond which images are made smaller while they are read, and never are whole in memory if they need not. */
export const HUGE_PIXELS = 2 ** 23;
/** Bytes that decoding may take beside the pixels: coefficients of a progressive JPEG are in memory all at once. */
export const MOST_COEFFICIENT_BYTES = 192 * 2 ** 20;
/** Pixels of what is no JPEG: some kinds are decoded whole before they can be made smaller. */
export const MOST_OTHER_PIXELS = 24 * 2 ** 20;

/** Runs what needs much memory while nobody else does. */
export type Alone = <T>(work: () => Promise<T>) => Promise<T>;

function withEnd(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const ended = new Uint8Array(bytes.length + 2);
  ended.set(bytes);
  ended.set([0xff, 0xd9], bytes.length);
  return ended;
}

/** Size of an image whose shorter side is `short`: the other one is cut, as torchvision's Resize does. */
export function shortened(
  width: number,
  height: number,
  short: number,
): { readonly width: number; readonly height: number } {
  if (Math.min(width, height) <= short) return { width, height };
  return width < height
    ? { width: short, height: Math.trunc((short * height) / width) }
    : { width: Math.trunc((short * width) / height), height: short };
}

async function encoded(image: RgbImage, target: ImageTarget): Promise<Uint8Array<ArrayBuffer>> {
  const size = shortened(image.width, image.height, target.short);
  if (size.width === image.width && size.height === image.height) return encodeJpeg(image, target);
  const { width, height } = image;
  return encodeJpeg({ ...size, rgb: resizeCrop(image, { x: 0, y: 0, w: width, h: height }, size) }, target);
}

/** What makes a JPEG one that workers would not read as it was meant. */
function doubtsOf({ components, adobeTransform, arithmetic, complete }: JpegFacts): string[] {
  const doubts: string[] = [];
  if (components === 4) doubts.push("it is CMYK");
  if (components === 3 && adobeTransform === 0) doubts.push("its components are RGB (Adobe marker)");
  if (arithmetic) doubts.push("it is arithmetic-coded");
  if (!complete) doubts.push("its end marker is missing");
  return doubts;
}

/** Why a header alone is reason enough. */
function refusalOf({ width, height, precision, components, process, sampling }: JpegFacts): string | undefined {
  if (width * height > MAX_JPEG_PIXELS) {
    return `its header says ${width} × ${height} pixels; at most ${MAX_JPEG_PIXELS} are decoded`;
  }
  if (precision !== 8) return `it has ${precision} bits a sample; 8 are decoded`;
  if (process === "lossless" || process === "hierarchical") return `it is a ${process} JPEG, which is not decoded`;
  if (components !== 1 && components !== 3 && components !== 4) return `it has ${components} components`;
  if (process !== "progressive") return undefined;
  const [across, down] = [0, 1].map((axis) => Math.max(...sampling.map((factors) => factors[axis])));
  const area = sampling.reduce((sum, [x, y]) => sum + (x * y) / (across * down), 0);
  const coefficients = 2 * width * height * area;
  if (coefficients <= MOST_COEFFICIENT_BYTES) return undefined;
  return `it is progressive and has ${width} × ${height} pixels, which take ${Math.ceil(coefficients / 2 ** 20)} MiB to decode; the limit is ${MOST_COEFFICIENT_BYTES / 2 ** 20}`;
}

/** The reason without what every such message begins with. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.replace(/^the image is not a JPEG that can be read: /, "").split("\n")[0];
}

export class ImageConverter {
  readonly #decoder: JpegDecoder;
  readonly #alone: Alone;
  readonly #largeDecoder: () => Promise<JpegDecoder>;

  /** @param largeDecoder of one large image, whose memory goes with it; the same one unless given */
  constructor(decoder: JpegDecoder, alone: Alone, largeDecoder: () => Promise<JpegDecoder> = async () => decoder) {
    this.#decoder = decoder;
    this.#alone = alone;
    this.#largeDecoder = largeDecoder;
  }

  /** Never throws over what is in a file. @throws RUNTIME_MISSING where sharp is needed and not there */
  async convert(bytes: Uint8Array, target: ImageTarget): Promise<Outcome> {
    try {
      const kind = imageKind(bytes);
      if (kind === undefined) return { verdict: "reject", why: inWords(bytes) };
      if (kind === "JPEG") return await this.#jpeg(bytes, target);
      return { verdict: "convert", content: await this.#other(bytes, kind, target), why: `it is ${kind}` };
    } catch (error) {
      if (error instanceof BitswarmError && error.code !== "DATA_INVALID") throw error;
      return { verdict: "reject", why: reasonOf(error) };
    }
  }

  async #jpeg(bytes: Uint8Array, target: ImageTarget): Promise<Outcome> {
    const facts = inspectJpeg(bytes);
    const refusal = refusalOf(facts);
    if (refusal !== undefined) return { verdict: "reject", why: refusal };
    const { width, height, complete } = facts;
    const bare = withoutMetadata(bytes);
    const whole = complete ? bare : withEnd(bare);
    const work = () => this.#decoded(whole, facts, doubtsOf(facts), target);
    const pixels = width * height;
    const huge = pixels > HUGE_PIXELS && pixels < 4 * HUGE_PIXELS;
    const streams = huge && facts.process === "baseline" && smaller(width, height, target.short) !== undefined;
    return pixels > LARGE_PIXELS && !streams ? await this.#alone(work) : await work();
  }

  async #decoded(
    bytes: Uint8Array<ArrayBuffer>,
    facts: JpegFacts,
    doubts: string[],
    target: ImageTarget,
  ): Promise<Outcome> {
    const { width, height, process } = facts;
    const made = doubts.length === 0 ? await this.#shortened(bytes, facts, target) : undefined;
    if (made) return { verdict: "use", content: await encodeJpeg(made, target) };
    const image = await this.#pixels(bytes, facts, doubts, target);
    const asItIs = doubts.length === 0 && (process === "baseline" || process === "progressive");
    const content = asItIs && Math.min(width, height) <= target.short ? bytes : await encoded(image, target);
    return doubts.length === 0 ? { verdict: "use", content } : { verdict: "convert", content, why: doubts.join(", ") };
  }

  async #decoderOf({ width, height }: JpegFacts): Promise<JpegDecoder> {
    return width * height > LARGE_PIXELS ? await this.#largeDecoder() : this.#decoder;
  }

  /** The usual case, fast: made smaller where it was decoded. Undefined for all others, and for what is damaged. */
  async #shortened(bytes: Uint8Array, facts: JpegFacts, { short }: ImageTarget): Promise<RgbImage | undefined> {
    const { width, height } = facts;
    if (Math.min(width, height) <= short || width * height > HUGE_PIXELS) return undefined;
    const size = shortened(width, height, short);
    const rgb = new Uint8Array(3 * size.width * size.height);
    const box = { x: 0, y: 0, w: width, h: height };
    const view = { box, size, window: { x: 0, y: 0, w: size.width, h: size.height }, flip: false };
    try {
      (await this.#decoderOf(facts)).see(bytes, () => view, rgb);
    } catch (error) {
      // Why it is refused, or what else reads it, is the slower way's affair.
      if (error instanceof BitswarmError && error.code === "DATA_INVALID") return undefined;
      throw error;
    }
    return { ...size, rgb };
  }

  async #pixels(bytes: Uint8Array, facts: JpegFacts, doubts: string[], target: ImageTarget): Promise<RgbImage> {
    const { width, height, components } = facts;
    if (components === 4) return await vipsDecodeCmyk(bytes);
    if (width * height > HUGE_PIXELS) return await vipsDecode(bytes, { size: smaller(width, height, target.short) });
    try {
      return (await this.#decoderOf(facts)).decode(bytes);
    } catch (error) {
      if (!facts.complete) throw error;
      // Stray bytes after the last block are enough for the decoder to refuse; libvips tells them from missing ones.
      const image = await vipsDecode(bytes, { failOn: "warning" }).catch(() => undefined);
      if (image === undefined || image.width !== width || image.height !== height) throw error;
      doubts.push("its data have stray bytes");
      return image;
    }
  }

  async #other(bytes: Uint8Array, kind: ImageKind, target: ImageTarget): Promise<Uint8Array<ArrayBuffer>> {
    if (kind === "BMP") return await encoded(readBmp(bytes, MOST_OTHER_PIXELS), target);
    const { width, height } = await vipsSize(bytes);
    if (width * height > MOST_OTHER_PIXELS) {
      throw new BitswarmError(
        "DATA_INVALID",
        `its header says ${width} × ${height} pixels; at most ${MOST_OTHER_PIXELS} are decoded of a ${kind}`,
      );
    }
    const size = width * height > HUGE_PIXELS ? smaller(width, height, target.short) : undefined;
    const work = async () => await encoded(await vipsDecode(bytes, { size }), target);
    return width * height > LARGE_PIXELS ? await this.#alone(work) : await work();
  }
}

/** Where a huge image fits the memory, and is still twice as large as it will be: the exact resize follows. */
function smaller(
  width: number,
  height: number,
  short: number,
): { readonly width: number; readonly height: number } | undefined {
  let times = 1;
  while (Math.min(width, height) / (2 * times) >= 2 * short) times *= 2;
  return times === 1 ? undefined : { width: Math.ceil(width / times), height: Math.ceil(height / times) };
}
