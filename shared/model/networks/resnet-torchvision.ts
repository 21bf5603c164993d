// ResNet-18 and ResNet-34 as torchvision and timm have them: what people have trained already, so that nobody here has
// to (README.md here). A teacher's network: behind a ReLU every sign would be +1.

import { z } from "zod";
import { BitswarmError } from "../../base/errors.ts";
import type { Graph, NodeId } from "../graph.ts";
import { blockCount, defineModel, graphOfOne, type NetworkIo, width } from "./model.ts";
import { largeStem, type Stem, smallStem, stagesOf } from "./residual.ts";
import { blocksOfDepth } from "./resnet.ts";

export interface TorchvisionOptions {
  readonly stem: Stem;
  /** Channels of each stage; the stem is as wide as the first. */
  readonly widths: readonly number[];
  /** Blocks of each stage, two convolutions a block. */
  readonly blocks: readonly number[];
}

const schema = z.strictObject({
  kind: z.literal("resnet-torchvision"),
  depth: z.literal([18, 34]).optional().describe("18 has 2-2-2-2 blocks, 34 has 3-4-6-3; 18 unless given"),
  widths: z.array(width).min(1).max(8).optional().describe("channels of each stage; 64, 128, 256, 512 unless given"),
  blocks: z.array(blockCount).min(1).max(8).optional().describe("blocks of each stage; those of `depth` unless given"),
  stem: z
    .enum(["cifar", "imagenet"])
    .optional()
    .describe("3x3 stride 1, or 7x7 stride 2 and max-pool, which it is unless given"),
});

/** What is not given is in the teacher's file, or is a ResNet-18's of ImageNet. */
function withDefaults({ depth = 18, widths = [64, 128, 256, 512], stem, blocks }: z.output<typeof schema>) {
  return { stem: stem === "cifar" ? smallStem : largeStem, widths, blocks: blocks ?? blocksOfDepth[depth], depth };
}

function stageProblems(options: z.output<typeof schema>): readonly string[] {
  const { widths, blocks, depth } = withDefaults(options);
  if (widths.length === blocks.length) return [];
  return [
    `model.blocks: must have as many stages as model.widths (${widths.length}); got ${JSON.stringify(blocks)}${options.blocks ? "" : `, those of depth ${depth}`}`,
  ];
}

/**
 * Basic blocks relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)): one shortcut a block, the stride in conv1, and
 * where the shape changes a 1×1 convolution with that stride and a norm. Maps are compared by the names that the 1-bit
 * network has for its layers, before a ReLU and before the shortcut is added.
 */
export function torchvisionResNet({ stem, widths, blocks }: TorchvisionOptions, io: NetworkIo): Graph {
  const g = graphOfOne(io);
  const relu = (name: string, input: NodeId) => g.activation("relu", name, input);
  const norm = (name: string, input: NodeId) => g.add({ op: "batchnorm", name, input });
  const layer = (block: string, index: number, input: NodeId, out: number, stride: number): NodeId => {
    const name = `${block}.conv${index}`;
    const conv = g.add({ op: "conv", name, input, out, kernel: 3, stride, padding: 1 });
    const map = norm(`${block}.bn${index}`, conv);
    g.compare(name, map);
    return map;
  };
  const shortcut = (block: string, input: NodeId, out: number, stride: number): NodeId => {
    if (stride === 1 && g.shape(input).c === out) return input;
    const name = `${block}.downsample.0`;
    return norm(`${block}.downsample.1`, g.add({ op: "conv", name, input, out, kernel: 1, stride, padding: 0 }));
  };

  const { kernel, stride: first, padding } = stem;
  let h = g.add({ op: "conv", name: "conv1", input: g.input, out: widths[0], kernel, stride: first, padding });
  h = relu("relu", norm("bn1", h));
  if (stem.maxpool) h = g.add({ op: "pool", kind: "max", input: h, kernel: 3, stride: 2, padding: 1 });
  widths.forEach((out, stage) => {
    for (let b = 0; b < blocks[stage]; b++) {
      const block = `layer${stage + 1}.${b}`;
      const stride = stage > 0 && b === 0 ? 2 : 1;
      const inner = relu(`${block}.relu1`, layer(block, 1, h, out, stride));
      const map = layer(block, 2, inner, out, 1);
      h = relu(`${block}.relu2`, g.add({ op: "add", input: map, other: shortcut(block, h, out, stride) }));
    }
  });
  return g.build(io.head(g, g.add({ op: "globalpool", input: h })));
}

export const torchvisionModel = defineModel({
  kind: "resnet-torchvision",
  schema,
  fullPrecisionOnly: true,
  // With one of them alone the other is perhaps in the teacher's file.
  check: (options) => (options.widths && (options.blocks || options.depth) ? stageProblems(options) : []),
  guess: (shapeOf) => {
    const stages = stagesOf(shapeOf);
    const stem = shapeOf("conv1.weight");
    // A third convolution is a bottleneck's.
    const other = shapeOf("prelu1.weight") ?? shapeOf("layer1.0.conv3.weight");
    if (stages.length === 0 || !stem || stem[0] !== stages[0].width || other) return undefined;
    const blocks = stages.map((stage) => stage.blocks);
    const depth = ([18, 34] as const).find((one) => blocksOfDepth[one].join() === blocks.join());
    return {
      kind: "resnet-torchvision" as const,
      ...(depth === undefined ? { blocks } : { depth }),
      widths: stages.map(({ width: channels }) => channels),
      stem: stem[2] === largeStem.kernel ? ("imagenet" as const) : ("cifar" as const),
    };
  },
  build: (options, io) => {
    const [problem] = stageProblems(options);
    if (problem !== undefined) throw new BitswarmError("GRAPH_INVALID", `${options.kind}: ${problem}`);
    return torchvisionResNet(withDefaults(options), io);
  },
});
