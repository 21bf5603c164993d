// ABC-Net (Lin et al., NIPS 2017): M planes of shifted signs for weights, N for activations; M × N binary convolutions
// in place of one in floats.

import { z } from "zod";
import type { WeightForm } from "../graph.ts";
import { abcGradient, abcPlanes, abcScale } from "./abc-bases.ts";
import { MOST_BITS } from "./bit-counts.ts";
import { blockOrderOption, commonBlock, companionOf, defineMethod } from "./method.ts";
import { fullPrecisionStage, MOST_SHARE, problemsAfter, stagesAfter, trainingProgram } from "./programs.ts";
import { quantisedBody } from "./quantised-body.ts";

/** Far beyond any start that leaves bases apart from each other. */
const MOST_START = 10;

const bases = z.int().min(1).max(MOST_BITS);
const schema = z.strictObject({
  kind: z.literal("abc"),
  weightBases: bases.default(3).describe("M: planes of W"),
  activationBases: bases.default(3).describe("N: planes of a layer's input"),
  scale: z
    .enum(["layer", "out"])
    .default("layer")
    .describe("what shares mean, deviation and alpha: a layer, as published, or each filter"),
  shiftApart: z
    .number()
    .min(0)
    .max(MOST_START)
    .default(0.4)
    .describe("v of a base starts so far from the next one's, all of them around 0 (ours; trained from there)"),
  startScale: z
    .number()
    .positive()
    .max(MOST_START)
    .default(1)
    .describe("beta of each base starts here (as a port has it; trained from there)"),
  pretrain: z
    .number()
    .min(0)
    .max(MOST_SHARE)
    .default(0)
    .describe("of the run's epochs, in full precision first: the authors begin with a trained network (0 is ours)"),
  blockOrder: blockOrderOption,
});

export const abcMethod = defineMethod({
  kind: "abc",
  schema,
  word: ({ weightBases }) => `${weightBases}-base`,
  check: ({ pretrain }, { epochs }) => problemsAfter("abc", epochs, pretrain),
  phases: ({ pretrain }, run) => trainingProgram(run, { stages: stagesAfter(run, pretrain, fullPrecisionStage) }),
  create: ({ weightBases, activationBases, scale, shiftApart, startScale, blockOrder }) => {
    const form: WeightForm = { kind: "linear", planes: weightBases, scale };
    return {
      binarizesInput: true,
      block: blockOrder === "paper" ? { norm: "before", activation: "identity" } : commonBlock,
      body: quantisedBody({
        form,
        activations: { kind: "bases", bases: activationBases, apart: shiftApart, scale: startScale },
      }),
      rule: {
        companion: (name, layer) => {
          const planes = abcPlanes(layer, weightBases, scale);
          return name === "planes" ? planes : abcScale(layer, planes, weightBases, scale);
        },
        gradients: (layer, gradient) => ({
          weight: abcGradient(gradient, companionOf(layer, "c"), weightBases),
          learned: {},
          losses: {},
        }),
      },
    };
  },
});
