// ResNet-18 and ResNet-34 (He et al., CVPR 2016): four stages, the stem as wide as the first (README.md here).

import { z } from "zod";
import { blockCount, defineModel, width } from "./model.ts";
import { largeStem, residualNetwork, smallStem, stagesOf } from "./residual.ts";

/** Blocks of each stage. */
export const blocksOfDepth = { 18: [2, 2, 2, 2], 34: [3, 4, 6, 3] } as const;

const schema = z.strictObject({
  kind: z.literal("resnet"),
  depth: z.literal([18, 34]).default(18).describe("18 has 2-2-2-2 blocks, 34 has 3-4-6-3"),
  widths: z.array(width).min(1).max(8).default([64, 128, 256, 512]).describe("channels of each stage"),
  blocks: z.array(blockCount).min(1).max(8).optional().describe("blocks of each stage; those of `depth` unless given"),
  stem: z.enum(["cifar", "imagenet"]).default("cifar").describe("3x3 stride 1, or 7x7 stride 2 and max-pool"),
  activation: z.enum(["prelu", "relu", "hardtanh", "identity"]).default("prelu").describe("after each shortcut sum"),
});

function blocksOf({ depth, blocks }: z.output<typeof schema>): readonly number[] {
  return blocks ?? blocksOfDepth[depth];
}

export const resNetModel = defineModel({
  kind: "resnet",
  schema,
  check: (options) => {
    const blocks = blocksOf(options);
    const { widths } = options;
    if (widths.length === blocks.length) return [];
    return [
      `model.blocks: must have as many stages as model.widths (${widths.length}); got ${JSON.stringify(blocks)}${options.blocks ? "" : `, those of depth ${options.depth}`}`,
    ];
  },
  guess: (shapeOf) => {
    const stages = stagesOf(shapeOf);
    const stem = shapeOf("conv1.weight");
    if (stages.length === 0 || !stem || stem[0] !== stages[0].width) return undefined;
    const blocks = stages.map((stage) => stage.blocks);
    const depth = ([18, 34] as const).find((one) => blocksOfDepth[one].join() === blocks.join());
    return {
      kind: "resnet" as const,
      ...(depth === undefined ? { blocks } : { depth }),
      widths: stages.map(({ width: channels }) => channels),
      stem: stem[2] === largeStem.kernel ? ("imagenet" as const) : ("cifar" as const),
      activation: shapeOf("prelu1.weight") ? ("prelu" as const) : ("relu" as const),
    };
  },
  build: (options, io, method) => {
    const { widths, activation } = options;
    const stem = options.stem === "imagenet" ? largeStem : smallStem;
    return residualNetwork({ stem, stemWidth: widths[0], widths, blocks: blocksOf(options), activation }, io, method);
  },
});
