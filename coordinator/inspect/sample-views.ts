// What a run draws of one sample, epoch by epoch: the boxes as numbers, and as a picture.

import { type Rng, rng } from "../../shared/base/rng.ts";
import { labelOf } from "../../shared/data/shard-layout.ts";
import { CROP_AREA } from "../../shared/image/crops.ts";
import { type Box, type RgbImage, resizeCrop, type Size } from "../../shared/image/resize.ts";
import { seeView } from "../../shared/image/see-view.ts";
import { drawView, type View, type ViewOptions } from "../../shared/image/view.ts";
import { drawPlacement, type Placement, pixelDrawing } from "../../shared/tasks/pixels.ts";
import type { StoreManifest, StoreSplit } from "../store/manifest.ts";
import type { StoreReader } from "../store/store-reader.ts";
import { imageReader, pngOf, Sheet } from "./sample-images.ts";
import { SampleReader } from "./store-samples.ts";

/** Epochs that are shown, from the one that was asked for on. */
export const SHOWN_EPOCHS = 8;
const COLUMNS = 4;
const GAP = 6;
const LINE = 3;
const COLOURS = ["#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#00a0a0", "#c09000", "#808080"];
/** How many times small images of pixels are magnified. */
const MAGNIFIED = 4;

/** The address of a run's draws, and the size of what it sees of a JPEG. */
export interface DrawnBy {
  readonly seed: number;
  readonly phase: string;
  readonly size: number;
}

/** Of a JPEG a box, of pixels how far they are moved. */
export type EpochView = { readonly epoch: number } & (View | Placement);

export interface SampleViews {
  readonly split: StoreSplit;
  readonly sample: number;
  readonly label: number;
  readonly width: number;
  readonly height: number;
  readonly views: readonly EpochView[];
}

/** An epoch's view, what is seen of it, and where in the whole picture that is. */
interface Seen {
  readonly view: View | Placement;
  readonly image: RgbImage;
  readonly box?: Box;
}

/** @param draws from their begin, at each call */
type See = (draws: (() => Rng) | undefined) => Seen;

function seeJpeg(image: RgbImage, size: number): See {
  const resize = Math.round((size * 256) / 224);
  const options: ViewOptions = { size, resize, augment: "random-resized-crop", area: CROP_AREA };
  return (draws) => {
    const view = drawView(options, image.width, image.height, draws?.());
    const rgb = new Uint8Array(3 * size * size);
    seeView(image, view, rgb);
    return { view, image: { width: size, height: size, rgb }, box: view.box };
  };
}

function seePixels(image: RgbImage): See {
  const { width, height, rgb } = image;
  const draw = pixelDrawing({ h: height, w: width, c: 3 }, 0, true);
  return (draws) => {
    const seen = new Uint8Array(rgb.length);
    const view = draws ? drawPlacement(draws(), 0) : { top: 0, left: 0, flip: false };
    draw(seen, rgb, draws);
    const size = { width: MAGNIFIED * width, height: MAGNIFIED * height };
    return { view, image: magnified({ width, height, rgb: seen }, size) };
  };
}

/** Each pixel a square: what is bilinear would hide how few there are. */
function magnified({ width, rgb }: RgbImage, size: Size): RgbImage {
  const large = new Uint8Array(3 * size.width * size.height);
  for (let at = 0; at < large.length; at++) {
    const pixel = Math.floor(at / 3);
    const x = Math.floor((pixel % size.width) / MAGNIFIED);
    const y = Math.floor(pixel / size.width / MAGNIFIED);
    large[at] = rgb[3 * (y * width + x) + (at % 3)]!;
  }
  return { ...size, rgb: large };
}

/** @throws CONFIG_INVALID for a sample that there is not */
export async function sampleViews(
  store: StoreReader,
  manifest: StoreManifest,
  { split, sample, epoch }: { readonly split: StoreSplit; readonly sample: number; readonly epoch: number },
  { seed, phase, size }: DrawnBy,
): Promise<{ readonly facts: SampleViews; readonly png: () => Promise<Uint8Array> }> {
  const { content, target } = await new SampleReader(store, manifest).read(split, sample);
  const image = (await imageReader(manifest))(content);
  const see = manifest.media === "pixels" ? seePixels(image) : seeJpeg(image, size);
  const epochs = Array.from({ length: SHOWN_EPOCHS }, (_, i) => epoch + i);
  const seen = epochs.map((each) =>
    see(split === "train" ? () => rng(seed, "augment", phase, each, sample) : undefined),
  );
  const views = seen.map(({ view }, i) => ({ epoch: epochs[i]!, ...view }));
  const { width, height } = image;
  const facts = { split, sample, label: labelOf(target), width, height, views };
  return { facts, png: () => picture(image, seen) };
}

function frame({ x, y, w, h }: Box, colour: string): string {
  return `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="none" stroke="${colour}" stroke-width="${LINE}"/>`;
}

/** The whole picture with the boxes in it, beside what is seen of each, in the same colours. */
function picture(image: RgbImage, seen: readonly Seen[]): Promise<Uint8Array> {
  const { width: side, height: tall } = seen[0]!.image;
  const height = Math.ceil(seen.length / COLUMNS) * (tall + GAP) + GAP;
  const scale = Math.min((height - 2 * GAP) / image.height, (COLUMNS * side) / image.width);
  const size = {
    width: Math.max(1, Math.round(image.width * scale)),
    height: Math.max(1, Math.round(image.height * scale)),
  };
  const left = size.width + 2 * GAP;
  const sheet = new Sheet(left + COLUMNS * (side + GAP), height);
  const whole = { x: 0, y: 0, w: image.width, h: image.height };
  sheet.put({ ...size, rgb: resizeCrop(image, whole, size) }, GAP, GAP);
  const frames = seen.map(({ image: part, box }, i) => {
    const colour = COLOURS[i % COLOURS.length]!;
    const at = { x: left + (i % COLUMNS) * (side + GAP), y: GAP + Math.floor(i / COLUMNS) * (tall + GAP) };
    sheet.put(part, at.x, at.y);
    if (!box) return "";
    const within = { x: GAP + box.x * scale, y: GAP + box.y * scale, w: box.w * scale, h: box.h * scale };
    return frame(within, colour) + frame({ ...at, w: side, h: tall }, colour);
  });
  return pngOf(sheet, { svg: frames.join("") });
}
