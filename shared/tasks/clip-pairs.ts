// A pair of pictures out of a clip, for networks that compare: what to look for, and where. Both are drawn, in training
// and of held-out clips, so that a clip is as many samples as a run wants of it.

import { BitswarmError } from "../base/errors.ts";
import { readClip } from "../data/clip.ts";
import { type Dataset, MEDIA_CLIP } from "../data/dataset.ts";
import type { JpegDecoder } from "../image/jpeg.ts";
import type { RgbImage } from "../image/resize.ts";
import { drawPair } from "../tracking/pairs.ts";
import { drawTrainView, searchSide, trainView, type ViewSizes } from "../tracking/train-view.ts";
import { normaliseTable, requireChannels } from "./pixels.ts";
import type { DecoderData, DecodeSample, InputTables } from "./sample-tensors.ts";
import type { TaskInput } from "./task.ts";

/** Names of the inputs, u8 of three channels, in this order. */
export const EXEMPLAR = "exemplar";
export const SEARCH = "search";

export interface PairOptions {
  /** Side of what is seen of an exemplar. */
  readonly exemplar: number;
  /** Pixels that are cut off a crop's middle, and as many again by a random move. */
  readonly margin: number;
  /** A pair is of two frames less than so many apart. */
  readonly gap: number;
}

type Described = Pick<Dataset, "shape">;

function sizesOf({ exemplar, margin }: PairOptions, { shape }: Described): ViewSizes {
  return { instance: shape.h, exemplar, margin };
}

/** Inputs of the network: the exemplar, then the search image. */
export function pairInputs(options: PairOptions, dataset: Described): readonly [TaskInput, TaskInput] {
  const input = (name: string, side: number) => ({ name, encoding: "u8" as const, h: side, w: side, c: 3 });
  return [input(EXEMPLAR, options.exemplar), input(SEARCH, searchSide(sizesOf(options, dataset)))];
}

export function pairTables(dataset: Dataset): InputTables {
  const table = normaliseTable(dataset);
  return { [EXEMPLAR]: table, [SEARCH]: table };
}

/** @throws DATA_INVALID for a data set that is not of clips, or whose crops are too small */
function requireClips({ format, name, shape }: Dataset, options: PairOptions): void {
  const media = format.kind === "raw" ? "raw pixels" : format.media;
  if (media !== MEDIA_CLIP) {
    throw new BitswarmError(
      "DATA_INVALID",
      `samples of ${name} are ${media}; pairs are drawn of clips: import GOT-10k or another data set of tracking, and name that store with data.store`,
    );
  }
  const search = searchSide(sizesOf(options, { shape }));
  if (shape.h === shape.w && search >= options.exemplar) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `crops of ${name} have ${shape.h} × ${shape.w} pixels, of which a search image is ${search}; it must be as large as the exemplar, ${options.exemplar}: make task.exemplar or task.margin smaller`,
  );
}

function openCrop(jpeg: Uint8Array, side: number, decoder: JpegDecoder, name: string): RgbImage {
  try {
    const image = decoder.decode(jpeg);
    if (image.width === side && image.height === side) return image;
    throw new BitswarmError(
      "DATA_INVALID",
      `it has ${image.width} × ${image.height} pixels; expected ${side} × ${side}`,
    );
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    throw new BitswarmError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}

/** @throws DATA_INVALID */
export function pairDecoder(options: PairOptions, { dataset, images = {} }: DecoderData): DecodeSample {
  requireClips(dataset, options);
  requireChannels(dataset);
  const sizes = sizesOf(options, dataset);
  return ({ content }, draws, { inputs }, name) => {
    const { jpeg } = images;
    if (!jpeg) throw new RangeError(`${dataset.name} holds JPEGs, and no decoder of theirs was given`);
    if (!draws) throw new RangeError(`${name} is a pair, which is drawn`);
    const clip = readClip(content, name);
    if (clip.frames.length < 2) {
      throw new BitswarmError("DATA_INVALID", `${name} is a clip of one frame, which makes no pair: import it again`);
    }
    const own = draws();
    const [first, second] = drawPair(clip.frames, options.gap, own);
    const parts = [
      [EXEMPLAR, "exemplar", first],
      [SEARCH, "search", second],
    ] as const;
    for (const [input, part, index] of parts) {
      const view = drawTrainView(own, sizes);
      const crop = clip.crop(index);
      const image = openCrop(crop.jpeg, sizes.instance, jpeg, `${name}, frame ${crop.frame}`);
      trainView(image, view, part, inputs[input] as Uint8Array, sizes);
    }
  };
}
