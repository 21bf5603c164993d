// Wide residual networks for images of 32 pixels (Zagoruyko and Komodakis, BMVC 2016), in the depths and widths of
// README.md here.

import { z } from "zod";
import { defineModel, MOST_BLOCKS, width } from "./model.ts";
import { residualNetwork, smallStem, stagesOf } from "./residual.ts";

/** Channels of conv1 and of the three stages, as RBCN's tables name them. */
export const wrnWidths = {
  "16-16-32-64": [16, 16, 32, 64],
  "16-32-64-128": [16, 32, 64, 128],
  "32-64-128-256": [32, 64, 128, 256],
  "64-64-128-256": [64, 64, 128, 256],
} as const;

const named = Object.keys(wrnWidths) as (keyof typeof wrnWidths)[];

export const wrnModel = defineModel({
  kind: "wrn",
  schema: z.strictObject({
    kind: z.literal("wrn"),
    depth: z
      .number()
      .int()
      .min(10)
      .max(6 * MOST_BLOCKS + 4)
      .default(22)
      .describe(
        "4 more than a multiple of 6: each of three stages has (depth - 4) / 6 blocks; the papers' are 22 and 40",
      ),
    widths: z
      .union([z.enum(named), z.tuple([width, width, width, width])])
      .default("16-32-64-128")
      .describe("channels of conv1 and of the three stages, by name or as four numbers"),
    activation: z.enum(["prelu", "relu", "hardtanh", "identity"]).default("prelu").describe("after each shortcut sum"),
  }),
  check: ({ depth }) =>
    (depth - 4) % 6 === 0 ? [] : [`model.depth: must be 4 more than a multiple of 6, such as 22 or 40; got ${depth}`],
  guess: (shapeOf) => {
    const stages = stagesOf(shapeOf);
    const stem = shapeOf("conv1.weight");
    const [first] = stages;
    if (stages.length !== 3 || !stem || stages.some(({ blocks }) => blocks !== first.blocks)) return undefined;
    const [one, two, three] = stages.map((stage) => stage.width);
    return {
      kind: "wrn" as const,
      depth: 6 * first.blocks + 4,
      widths: [stem[0], one, two, three] as [number, number, number, number],
      activation: shapeOf("prelu1.weight") ? ("prelu" as const) : ("relu" as const),
    };
  },
  build: ({ depth, widths, activation }, io, method) => {
    const [stemWidth, ...stages] = typeof widths === "string" ? wrnWidths[widths] : widths;
    const each = (depth - 4) / 6;
    const options = { stem: smallStem, stemWidth, widths: stages, blocks: stages.map(() => each), activation };
    return residualNetwork(options, io, method);
  },
});
