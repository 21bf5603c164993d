// Vectors of what networks see of clips: their bytes, the pairs that are drawn of them, the order of several draws, and
// views byte for byte.

import { rng } from "../../../shared/base/rng.ts";
import { writeClip } from "../../../shared/data/clip.ts";
import { type Dataset, MEDIA_CLIP } from "../../../shared/data/dataset.ts";
import { sampleOrder } from "../../../shared/samples/sample-order.ts";
import { drawPair } from "../../../shared/tracking/pairs.ts";
import { drawTrainView, searchSide, trainView } from "../../../shared/tracking/train-view.ts";
import { hex } from "../text.ts";

const seed = 7;
const gap = 100;
const sizes = { instance: 255, exemplar: 127, margin: 8 };
const films = [
  [0, 1, 2, 3, 4, 5, 6, 7],
  [3, 60, 102, 103, 400],
  [0, 100, 200],
] as const;

function drawn(split: "train" | "test", sample: number, frames: readonly number[]) {
  const draws = split === "train" ? rng(seed, "augment", "student", 1, sample) : rng(seed, "held-out", sample);
  const pair = drawPair(frames, gap, draws);
  return { split, sample, frames, pair, exemplar: drawTrainView(draws, sizes), search: drawTrainView(draws, sizes) };
}

/** Of five contents each of three samples, in the order of an epoch. */
function order() {
  const split = { samples: 15, draws: 3, shards: [{ sha256: "0".repeat(64), samples: 5, bytes: 1 }] };
  const format = { kind: "bytes", media: MEDIA_CLIP, targetBytes: 2, chunk: 1 } as const;
  const shape = { h: 255, w: 255, c: 3 };
  const dataset: Dataset = { name: "", format, shape, classes: 0, mean: [], std: [], train: split, test: split };
  const at = sampleOrder(seed, dataset, { phase: "student", epoch: 1, split: "train" });
  return { stored: 5, draws: 3, samples: Array.from({ length: 15 }, (_, position) => at(position)) };
}

export function pairs() {
  const side = 20;
  const bytes = rng("vectors", "crop");
  const patch = { width: side, height: side, rgb: Uint8Array.from({ length: 3 * side ** 2 }, () => bytes.below(256)) };
  const views = [
    { exemplar: 6, margin: 4, view: { stretch: 1.05, offset: [4, 1] as const } },
    // It shrinks to 19 of 20 pixels, and is filled up.
    { exemplar: 14, margin: 0, view: { stretch: 0.95, offset: [0, 0] as const } },
  ].map(({ exemplar, margin, view }) => {
    const of = { instance: side, exemplar, margin };
    const seen = (part: "exemplar" | "search", wide: number) =>
      hex(trainView(patch, view, part, new Uint8Array(3 * wide ** 2), of));
    return {
      exemplar,
      margin,
      view,
      pixels: { exemplar: seen("exemplar", exemplar), search: seen("search", searchSide(of)) },
    };
  });
  const jpeg = (first: number, length: number) => Uint8Array.from({ length }, (_, i) => first + i);
  const crops = [
    { frame: 0, width: 60.5, height: 40.25, jpeg: jpeg(1, 3) },
    { frame: 7, width: 61, height: 39, jpeg: jpeg(9, 2) },
  ];
  return {
    ...{ seed, phase: "student", epoch: 1, gap, ...sizes },
    pairs: films.flatMap((frames, sample) => [drawn("train", sample, frames), drawn("test", sample, frames)]),
    order: order(),
    clip: { crops: crops.map((crop) => ({ ...crop, jpeg: hex(crop.jpeg) })), bytes: hex(writeClip(crops)) },
    patch: { side, rgb: hex(patch.rgb) },
    views,
  };
}
