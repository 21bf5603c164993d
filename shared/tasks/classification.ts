// Classification: one image, one of the data set's classes. A linear layer, the cross-entropy, and the share of right
// answers.

import { z } from "zod";
import { BitswarmError } from "../base/errors.ts";
import { LABEL_BYTES } from "../data/dataset.ts";
import { pictureView, seenShape } from "../data/image-view.ts";
import { labelOf, targetBytes } from "../data/shard-layout.ts";
import { pictureDrawing } from "./pictures.ts";
import { normaliseTable, requireChannels } from "./pixels.ts";
import type { DecoderData, DecodeSample } from "./sample-tensors.ts";
import { defineTask } from "./task.ts";

/** Name of the input, u8, normalised on the device: [size][size][c] of JPEGs, [h + 2·pad][w + 2·pad][c] of pixels. */
export const IMAGE = "image";
/** Name of the target, u32. */
export const LABEL = "label";

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export const classificationSchema = z.strictObject({
  kind: z.literal("classification"),
  labelSmoothing: z.number().min(0).lt(1).default(0).describe("share of the target that all classes get alike"),
});

function decoder(run: DecoderData): DecodeSample {
  const { dataset } = run;
  const { classes } = dataset;
  requireChannels(dataset);
  if (targetBytes(dataset.format) !== LABEL_BYTES) {
    throw new BitswarmError(
      "DATA_INVALID",
      `samples of ${dataset.name} have targets of ${targetBytes(dataset.format)} bytes; a label has ${LABEL_BYTES}`,
    );
  }
  const draw = pictureDrawing(run);
  return ({ content, target }, draws, { inputs, targets }, name) => {
    draw(inputs[IMAGE] as Uint8Array, content, draws, name);
    const label = labelOf(target);
    if (label >= classes) {
      throw new BitswarmError("DATA_INVALID", `${name} has label ${label}; there are ${classes} classes`);
    }
    targets[LABEL][0] = label;
  };
}

export const classification = defineTask({
  kind: "classification",
  schema: classificationSchema,
  inputs: (_, { dataset, data }) => [{ name: IMAGE, encoding: "u8", ...seenShape(dataset, data) }],
  targets: () => [{ name: LABEL, type: "u32", size: 1 }],
  decoder: (_, run) => decoder(run),
  tables: (_, { dataset }) => ({ [IMAGE]: normaliseTable(dataset) }),
  picture: (_, { dataset, data }) => pictureView(dataset, data),
  head:
    (_, { dataset: { classes } }) =>
    (graph, features) =>
      graph.add({ op: "linear", name: "fc", input: features, out: classes }),
  output: {
    name: "logits",
    text: "float32, one number a class, the greatest for the likeliest; their softmax is what the network takes for probabilities",
  },
  metrics: ["top1", "top5"],
  // A cross-entropy, and shares of the samples.
  ranges: {
    task: { least: 0, most: Number.POSITIVE_INFINITY },
    top1: { least: 0, most: 1 },
    top5: { least: 0, most: 1 },
  },
  score: {
    name: "accuracy",
    better: "higher",
    of: ({ top1 }) => top1,
    text: percent,
    sentence: (value) => `${percent(value)} of the test images right`,
    others: [
      { name: "top5", better: "higher", leastClasses: 6, of: ({ top5 }) => top5, text: (v) => `top-5 ${percent(v)}` },
    ],
  },
});
