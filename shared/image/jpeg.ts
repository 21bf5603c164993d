// JPEG to RGB, the same bytes on every machine: one build of libjpeg-turbo (integer IDCT, fancy upsampling) decodes for
// workers and coordinator alike.

import { BitswarmError } from "../base/errors.ts";
import { compileJpegCodec, isCodecFailure, isCodecTrap, type JpegCodec, startJpegCodec } from "./jpeg-codec.ts";
import { badJpeg, type JpegFrame, MAX_JPEG_PIXELS, readJpegFrame } from "./jpeg-header.ts";
import { MemoryResizer } from "./resize-in-memory.ts";
import { seeView } from "./see-view.ts";
import type { View } from "./view.ts";

/** What makes the bytes: another decoder may make others, so manifests and runs name it. */
export const JPEG_DECODER = "libjpeg-turbo-8bit-1.2.8";

/** SHA-256 of the module, libjpegturbowasm_decode.wasm. */
export const JPEG_DECODER_SHA256 = "a8d104602540b9e7aeefeaac23af7380f40c5a3460291d40246a26783929a696";

export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  /** [height][width][3]; a grey picture has three equal channels. */
  readonly rgb: Uint8Array<ArrayBuffer>;
}

export interface JpegDecoder {
  /**
   * The picture as its file has it: what EXIF says of turning it is not followed.
   * @throws DATA_INVALID for what is no whole JPEG of one or three components of 8 bits within the limit on pixels; the
   *   next call works as if this one had not been
   */
  decode(bytes: Uint8Array): DecodedImage;
  /**
   * What a network sees of the picture: the bytes of decode and `seeView`, in half the time, since the whole picture
   * stays where it was decoded.
   * @param viewOf the size that its header has
   * @param into [h][w][3] of the view's window
   * @throws what `decode` does, and RangeError for a view that does not fit
   */
  see(bytes: Uint8Array, viewOf: (width: number, height: number) => View, into: Uint8Array): void;
  /** Of the WebAssembly memory that is held for the next picture. */
  readonly memoryBytes: number;
}

/** Exceptions are never freed, as nothing in the module catches them: after so many a new instance begins. */
const FAILURES_AN_INSTANCE = 16;
/** An instance whose memory grew over this, for a large picture or by failures, is not kept. */
const MAX_KEPT_BYTES = 128 * 2 ** 20;

/** @throws DATA_INVALID for what would not be decoded, before memory is taken for it */
function admit(frame: JpegFrame, maxPixels: number): void {
  const { width, height, precision, sampling } = frame;
  if (width * height > maxPixels) {
    throw badJpeg(`its header says ${width} × ${height} pixels; at most ${maxPixels} are decoded: make it smaller`);
  }
  if (precision !== 8) throw badJpeg(`it has ${precision} bits a sample; 8 are decoded`);
  if (sampling.length !== 1 && sampling.length !== 3) {
    throw badJpeg(`it has ${sampling.length} components; 1 (grey) and 3 (colour) are decoded: convert it`);
  }
}

function requireSize(decoded: Uint8Array, { width, height, sampling }: JpegFrame): void {
  const bytes = width * height * sampling.length;
  if (decoded.length !== bytes) throw badJpeg(`it decodes to ${decoded.length} bytes, its header says ${bytes}`);
}

function toRgb(decoded: Uint8Array, { width, height, sampling }: JpegFrame): Uint8Array<ArrayBuffer> {
  const pixels = width * height;
  if (sampling.length === 3) return decoded.slice() as Uint8Array<ArrayBuffer>;
  const rgb = new Uint8Array(3 * pixels);
  for (let i = 0, at = 0; i < pixels; i++) {
    const value = decoded[i]!;
    rgb[at++] = value;
    rgb[at++] = value;
    rgb[at++] = value;
  }
  return rgb;
}

export interface DecoderOptions {
  readonly maxPixels?: number;
  /** Without vector instructions of ours: the same bytes, in twice the time. */
  readonly plain?: boolean;
}

/** A codec that is kept while it is worth it, with the resizer of its memory. */
interface Kept {
  readonly codec: JpegCodec;
  readonly resizer: MemoryResizer | undefined;
  failures: number;
}

function keptCodec(compiled: object, plain: boolean): Kept {
  const codec = startJpegCodec(compiled, { plain });
  return { codec, resizer: plain ? undefined : MemoryResizer.create(codec.room), failures: 0 };
}

/**
 * @param module the bytes of libjpegturbowasm_decode.wasm, or the module compiled of them, which several threads share
 * @throws UNEXPECTED where it is another module
 */
export async function createJpegDecoder(
  module: object,
  { maxPixels = MAX_JPEG_PIXELS, plain = false }: DecoderOptions = {},
): Promise<JpegDecoder> {
  const compiled = await compileJpegCodec(module);
  let kept: Kept | undefined = keptCodec(compiled, plain);

  /** @param take makes the answer of the decoded bytes, which lie at this address of the codec's memory */
  function decoded<T>(
    bytes: Uint8Array,
    take: (frame: JpegFrame, pixels: Uint8Array, address: number, resizer: MemoryResizer | undefined) => T,
  ): T {
    const frame = readJpegFrame(bytes);
    admit(frame, maxPixels);
    const held = kept ?? keptCodec(compiled, plain);
    kept = undefined;
    let survives = false;
    try {
      const taken = held.codec.decode(bytes, frame.width, (pixels, address) => {
        requireSize(pixels, frame);
        return take(frame, pixels, address, held.resizer);
      });
      survives = true;
      return taken;
    } catch (error) {
      survives = error instanceof BitswarmError || error instanceof RangeError;
      if (!isCodecFailure(error) && !isCodecTrap(error)) throw error;
      held.failures += 1;
      survives = isCodecFailure(error) && held.failures < FAILURES_AN_INSTANCE;
      throw badJpeg(
        `its data are damaged, or end early (the decoder says "${error.message.replace(/^~+/, "").trim()}")`,
      );
    } finally {
      if (survives && held.codec.memoryBytes <= MAX_KEPT_BYTES) kept = held;
    }
  }

  return {
    get memoryBytes() {
      return kept?.codec.memoryBytes ?? 0;
    },

    decode: (bytes) =>
      decoded(bytes, (frame, pixels) => ({ width: frame.width, height: frame.height, rgb: toRgb(pixels, frame) })),

    see(bytes, viewOf, into) {
      decoded(bytes, (frame, pixels, address, resizer) => {
        const { width, height, sampling } = frame;
        const view = viewOf(width, height);
        if (sampling.length === 3 && resizer?.see(address, frame, view, into)) return;
        // Grey, an engine without vector instructions, or no room left in the memory.
        seeView({ width, height, rgb: sampling.length === 3 ? pixels : toRgb(pixels, frame) }, view, into);
      });
    },
  };
}
