// Which pairs a run draws of one clip, epoch by epoch: frames, stretches and moves as numbers, and as pictures.

import { rng } from "../../shared/base/rng.ts";
import { readClip } from "../../shared/data/clip.ts";
import { labelOf } from "../../shared/data/shard-layout.ts";
import { drawPair, USUAL_GAP } from "../../shared/tracking/pairs.ts";
import { drawTrainView, searchSide, type TrainView, trainView, viewSizes } from "../../shared/tracking/train-view.ts";
import type { StoreManifest, StoreSplit } from "../store/manifest.ts";
import type { StoreReader } from "../store/store-reader.ts";
import { boxAbout } from "./clip-sheet.ts";
import { jpegReader, pngOf, Sheet } from "./sample-images.ts";
import { type DrawnBy, SHOWN_EPOCHS } from "./sample-views.ts";
import { SampleReader } from "./store-samples.ts";

const GAP = 6;

/** Half of a pair. */
export interface HalfView extends TrainView {
  readonly frame: number;
}

export interface ClipViews {
  readonly split: StoreSplit;
  readonly sample: number;
  readonly label: number;
  readonly frames: readonly number[];
  readonly pairs: readonly { readonly epoch: number; readonly exemplar: HalfView; readonly search: HalfView }[];
}

/**
 * Of the first draw of each epoch, as a run with the task's usual options has it.
 * @throws CONFIG_INVALID for a sample that there is not
 */
export async function clipViews(
  store: StoreReader,
  manifest: StoreManifest,
  { split, sample, epoch }: { readonly split: StoreSplit; readonly sample: number; readonly epoch: number },
  { seed, phase }: Pick<DrawnBy, "seed" | "phase">,
): Promise<{ readonly facts: ClipViews; readonly png: () => Promise<Uint8Array> }> {
  const { content, target } = await new SampleReader(store, manifest).read(split, sample);
  const clip = readClip(content, `${split}: sample ${sample}`);
  const epochs = Array.from({ length: SHOWN_EPOCHS }, (_, i) => epoch + i);
  const drawn = epochs.map((each) => {
    const draws = split === "train" ? rng(seed, "augment", phase, each, sample) : rng(seed, "held-out", sample);
    const [first, second] = drawPair(clip.frames, USUAL_GAP, draws);
    const half = (index: number) => ({ index, view: drawTrainView(draws) });
    return { epoch: each, exemplar: half(first), search: half(second) };
  });
  const told = ({ index, view }: (typeof drawn)[number]["exemplar"]) => ({ frame: clip.frames[index]!, ...view });
  const pairs = drawn.map((pair) => ({
    epoch: pair.epoch,
    exemplar: told(pair.exemplar),
    search: told(pair.search),
  }));
  const facts = { split, sample, label: labelOf(target), frames: clip.frames, pairs };

  const png = async () => {
    const decode = await jpegReader();
    const tall = searchSide(viewSizes);
    const wide = viewSizes.exemplar;
    const columns = 2;
    const rows = Math.ceil(drawn.length / columns);
    const sheet = new Sheet(GAP + columns * (wide + tall + 2 * GAP), GAP + rows * (tall + GAP));
    const boxes: string[] = [];
    for (const [i, { exemplar, search }] of drawn.entries()) {
      const x = GAP + (i % columns) * (wide + tall + 2 * GAP);
      const y = GAP + Math.floor(i / columns) * (tall + GAP);
      const parts = [
        [exemplar, "exemplar", wide, x],
        [search, "search", tall, x + wide + GAP],
      ] as const;
      for (const [{ index, view }, part, side, left] of parts) {
        const { width, height, jpeg } = clip.crop(index);
        const rgb = trainView(decode(jpeg), view, part, new Uint8Array(3 * side * side));
        sheet.put({ width: side, height: side, rgb }, left, y);
        const moved = view.offset.map((offset) => viewSizes.margin / 2 - offset) as [number, number];
        const middle = [left + side / 2 + moved[1], y + side / 2 + moved[0]] as const;
        boxes.push(boxAbout(middle, width * view.stretch, height * view.stretch, side));
      }
    }
    return pngOf(sheet, { svg: boxes.join("") });
  };
  return { facts, png };
}
