// Classification: one image, one of the data set's classes. A linear layer, the cross-entropy, and the share of right
// answers.

import { z } from "zod";
import { defineTask } from "./task.ts";

/** Name of the input, f32 [h + 2·pad][w + 2·pad][c]. */
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

export const classification = defineTask({
  kind: "classification",
  schema: classificationSchema,
  inputs: (_, { dataset: { shape }, data: { pad } }) => [
    { name: IMAGE, h: shape.h + 2 * pad, w: shape.w + 2 * pad, c: shape.c },
  ],
  targets: () => [{ name: LABEL, type: "u32", size: 1 }],
  head:
    (_, { dataset: { classes } }) =>
    (graph, features) =>
      graph.add({ op: "linear", name: "fc", input: features, out: classes }),
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
  },
});
