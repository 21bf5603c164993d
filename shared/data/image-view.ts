// How a run sees the images of its data set: what a configuration leaves open follows from what the images are, and is
// filled in once, when the data set is opened. From then on the configuration alone says it, to everybody.

import { BitswarmError } from "../base/errors.ts";
import type { DataOptions } from "./data-kinds.ts";
import { type Dataset, MEDIA_CLIP } from "./dataset.ts";

/** Media of a format whose contents are pixels u8 [h][w][c] of the manifest's shape. */
export const PIXELS = "pixels";
export const JPEG = "image/jpeg";

/** How many pairs are drawn of each clip: one in an epoch, as published; of held-out ones more, for a steady score. */
const USUAL_DRAWS = { draws: 1, testDraws: 8 } as const;

/** Side that networks for ImageNet see, and the shorter side that evaluations resize to before they cut the centre. */
const USUAL = { size: 224, resize: 256 } as const;

function refused(field: string, rule: string): BitswarmError {
  return new BitswarmError("CONFIG_INVALID", `data.${field}: ${rule}`);
}

/**
 * A store's options with every open field filled in; other data sets' as they are. Pixels are seen as they are: sizes
 * are taken out.
 * @throws CONFIG_INVALID for a field that images of this kind have no use for, or that contradicts another
 */
export function settledView(options: DataOptions, format: Dataset["format"]): DataOptions {
  if (options.kind !== "store") return options;
  const { pad, augment } = options;
  if (format.kind === "bytes" && format.media === MEDIA_CLIP) return settledDraws(options);
  for (const field of ["draws", "testDraws"] as const) {
    if (options[field] !== undefined) {
      throw refused(field, `is of clips, of which pairs are drawn; got ${options[field]}; leave it out`);
    }
  }
  if (format.kind === "raw" || format.media === PIXELS) {
    const { size: _size, resize: _resize, ...rest } = options;
    if (augment === "random-resized-crop") {
      throw refused("augment", `the store holds pixels, which are not resized; got ${augment}; use crop-flip or none`);
    }
    return { ...rest, augment: augment ?? "crop-flip" };
  }
  if (pad > 0) throw refused("pad", `images of ${format.media} are cut to data.size; got ${pad}; leave it out`);
  const { size = USUAL.size } = options;
  const { resize = Math.round((size * USUAL.resize) / USUAL.size) } = options;
  if (resize < size) {
    throw refused("resize", `the centre of data.size=${size} is cut from it, so it must be as large; got ${resize}`);
  }
  return { ...options, size, resize, augment: augment ?? "random-resized-crop" };
}

/** Of clips, whose crops the task draws and cuts. @throws CONFIG_INVALID */
function settledDraws(options: DataOptions): DataOptions {
  const { size, resize, augment, pad, ...rest } = options;
  for (const [field, value] of Object.entries({ size, resize, augment })) {
    if (value !== undefined) {
      throw refused(field, `the store holds clips, of which the task cuts what is seen; got ${value}; leave it out`);
    }
  }
  if (pad > 0) throw refused("pad", `crops of clips are not padded; got ${pad}; leave it out`);
  return { ...rest, pad, draws: rest.draws ?? USUAL_DRAWS.draws, testDraws: rest.testDraws ?? USUAL_DRAWS.testDraws };
}

/** What a network sees of an image. @param dataset with the shape of a decoded sample */
export function seenShape(
  { shape }: Pick<Dataset, "shape">,
  { pad, size }: Pick<DataOptions, "pad" | "size">,
): Dataset["shape"] {
  const { h, w, c } = shape;
  return size === undefined ? { h: h + 2 * pad, w: w + 2 * pad, c } : { h: size, w: size, c };
}

/** How a picture of any size becomes what evaluations see of the data set's own. */
export interface PictureView {
  /** It is scaled, its ratio kept, to the least size that covers this. */
  readonly resize: { readonly h: number; readonly w: number };
  /** Of that the centre is seen. */
  readonly crop: { readonly h: number; readonly w: number };
  /** Zero pixels around it. */
  readonly pad: number;
}

/** Of pixels, which evaluations see as they are, a picture that has their size is not changed either. */
export function pictureView(
  { shape }: Pick<Dataset, "shape">,
  { pad, size, resize }: Pick<DataOptions, "pad" | "size" | "resize">,
): PictureView {
  const { h, w } = shape;
  if (size === undefined) return { resize: { h, w }, crop: { h, w }, pad };
  return { resize: { h: resize ?? size, w: resize ?? size }, crop: { h: size, w: size }, pad: 0 };
}
