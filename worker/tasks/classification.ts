// Classification on a device: pixels are padded, augmented and normalised; the loss is the softmax cross-entropy.

import { softmaxCrossEntropy } from "../../kernels/losses/softmax-cross-entropy.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Rng } from "../../shared/base/rng.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { labelOf } from "../../shared/data/shard-layout.ts";
import { classification, classificationSchema, IMAGE, LABEL } from "../../shared/tasks/classification.ts";
import type { RecordLoss } from "../plan/task-loss.ts";
import type { DecoderData, DecodeSample, DeviceTask } from "./device-task.ts";

/** Zero pixels around an image before the random crop (He et al., "Deep residual learning", CVPR 2016, section 4.2). */
const CROP_PADDING = 4;
/** Loss, top-1, top-5. */
const METRICS = 3;

/** Where the image lies in the output, and whether it is mirrored. */
interface Placement {
  /** Rows and columns that the image is moved down and to the right; negative cuts it. */
  readonly top: number;
  readonly left: number;
  readonly flip: boolean;
}

function decoder({ dataset, data }: DecoderData): DecodeSample {
  if (dataset.format.kind !== "raw") {
    throw new BitswarmError(
      "DATA_INVALID",
      `samples of ${dataset.name} are ${dataset.format.media}; this worker decodes raw pixels only: update it, or reload the page`,
    );
  }
  const { shape, classes } = dataset;
  const { pad, augment } = data;
  const height = shape.h + 2 * pad;
  const width = shape.w + 2 * pad;
  const tables = normaliseTables(dataset);
  const blank = blankImage(tables, height * width);

  const place = (draws: Rng): Placement => {
    const span = 2 * CROP_PADDING + 1;
    const top = pad + CROP_PADDING - draws.below(span);
    const left = pad + CROP_PADDING - draws.below(span);
    return { top, left, flip: draws.below(2) === 1 };
  };

  const drawImage = (into: Float32Array, pixels: Uint8Array, { top, left, flip }: Placement): void => {
    into.set(blank);
    const firstColumn = Math.max(0, -left);
    const columns = Math.min(shape.w, width - left) - firstColumn;
    const lastRow = Math.min(shape.h, height - top);
    const start = flip ? width - 1 - (firstColumn + left) : firstColumn + left;
    const step = flip ? -shape.c : shape.c;
    for (let y = Math.max(0, -top); y < lastRow; y++) {
      for (let c = 0; c < shape.c; c++) {
        const table = tables[c];
        let from = (y * shape.w + firstColumn) * shape.c + c;
        let to = ((y + top) * width + start) * shape.c + c;
        for (let x = 0; x < columns; x++) {
          into[to] = table[pixels[from]];
          from += shape.c;
          to += step;
        }
      }
    }
  };

  const still: Placement = { top: pad, left: pad, flip: false };
  return ({ content, target }, draws, { inputs, targets }, name) => {
    drawImage(inputs[IMAGE], content, draws && augment === "crop-flip" ? place(draws()) : still);
    const label = labelOf(target);
    if (label >= classes) {
      throw new BitswarmError("DATA_INVALID", `${name} has label ${label}; there are ${classes} classes`);
    }
    targets[LABEL][0] = label;
  };
}

/** (v/255 − mean)/std of each of the 256 values of a pixel, per channel: one look-up instead of two divisions. */
function normaliseTables(dataset: Pick<Dataset, "shape" | "mean" | "std" | "name">): readonly Float32Array[] {
  const { shape, mean, std } = dataset;
  if (mean.length !== shape.c || std.length !== shape.c) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${dataset.name} has ${shape.c} channels but ${mean.length} means and ${std.length} standard deviations`,
    );
  }
  return mean.map((m, c) => Float32Array.from({ length: 256 }, (_, value) => (value / 255 - m) / std[c]));
}

/** An image of zero pixels: what lies around the picture is black, which is −mean/std after normalising. */
function blankImage(tables: readonly Float32Array[], pixels: number): Float32Array {
  const blank = new Float32Array(pixels * tables.length);
  for (let i = 0; i < blank.length; i++) blank[i] = tables[i % tables.length][0];
  return blank;
}

/** The softmax cross-entropy of labels, and the two shares of right answers. */
export function classificationLoss(smoothing: number): RecordLoss {
  return (list, { n, output, shape: { c: classes }, target, evaluates }) => {
    const gradient = list.tensor(n * classes);
    const metrics = list.tensor(METRICS);
    const labelSmoothing = evaluates ? 0 : smoothing;
    const refs = { logits: output, labels: target(LABEL, 1), dlogits: gradient, metrics };
    list.run(softmaxCrossEntropy({ n, classes, labelSmoothing }), refs);
    return { gradient, metrics };
  };
}

export const deviceClassification: DeviceTask = {
  kind: classification.kind,
  decoder: (_, run) => decoder(run),
  loss: (options) => classificationLoss(classificationSchema.parse(options).labelSmoothing),
};
