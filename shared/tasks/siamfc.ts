// Looking for one thing in another picture (Bertinetto et al., "Fully-convolutional siamese networks for object
// tracking", ECCV 2016 workshops): a pair of crops of a film, and a response that is greatest where the target is.

import { z } from "zod";
import { cropSizes } from "../tracking/crop.ts";
import { USUAL_GAP } from "../tracking/pairs.ts";
import { viewSizes } from "../tracking/train-view.ts";
import { pairDecoder, pairInputs, pairTables } from "./clip-pairs.ts";
import {
  responseFields,
  responseHead,
  responseMetrics,
  responseOutput,
  responseRanges,
  responseScore,
} from "./response.ts";
import { defineTask } from "./task.ts";

/** Sides of what is seen of an exemplar. */
const EXEMPLARS = [16, 512] as const;
const MOST_MARGIN = 64;
const MOST_GAP = 100_000;

export const siamfcSchema = z.strictObject({
  kind: z.literal("siamfc"),
  ...responseFields,
  exemplar: z
    .number()
    .int()
    .min(EXEMPLARS[0])
    .max(EXEMPLARS[1])
    .default(viewSizes.exemplar)
    .describe("side in pixels of what the network looks for"),
  margin: z
    .number()
    .int()
    .min(0)
    .max(MOST_MARGIN)
    .default(viewSizes.margin)
    .describe("pixels that are cut off a crop's middle, and as many again by a random move"),
  gap: z
    .number()
    .int()
    .min(1)
    .max(MOST_GAP)
    .default(USUAL_GAP)
    .describe("a pair is of two frames less than so many apart"),
});

export const siamfc = defineTask({
  kind: "siamfc",
  schema: siamfcSchema,
  inputs: (options, { dataset }) => pairInputs(options, dataset),
  // The target is in the middle of every search image, but for some pixels.
  targets: () => [],
  decoder: pairDecoder,
  drawsHeldOut: true,
  tables: (_, { dataset }) => pairTables(dataset),
  tracking: ({ exemplar }, { dataset }) => ({ context: cropSizes.context, exemplar, instance: dataset.shape.h }),
  head: (options) => responseHead(options),
  output: responseOutput,
  metrics: responseMetrics,
  ranges: responseRanges,
  score: responseScore,
});
