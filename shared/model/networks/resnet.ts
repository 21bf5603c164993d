// ResNet in the order of Bi-Real net (Liu et al. 2018): one shortcut per binary convolution (METHOD §3). Names are torchvision's.

import { type ActivationKind, type Graph, GraphBuilder, type NodeId, type Shape } from "../graph.ts";
import type { Method } from "../methods/method.ts";

export interface ResNetStem {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly maxpool: boolean;
}

export const cifarStem: ResNetStem = { kernel: 3, stride: 1, padding: 1, maxpool: false };
export const imageNetStem: ResNetStem = { kernel: 7, stride: 2, padding: 3, maxpool: true };

export interface ResNetOptions {
  /** Channels of each stage; the stem has the first. */
  readonly widths: readonly number[];
  /** Blocks of each stage, two convolutions a block: ResNet-18 is 2-2-2-2. */
  readonly blocks: readonly number[];
  readonly stem: ResNetStem;
  readonly activation: ActivationKind;
  readonly classes: number;
  readonly input: Shape;
}

/** Each binary layer: h ← activation(BN(body(h)) + shortcut(h)). */
export function resNet(options: ResNetOptions, method: Method): Graph {
  const { widths, blocks, stem, activation, classes } = options;
  const g = new GraphBuilder(options.input);

  const shortcut = (name: string, input: NodeId, out: number, stride: number): NodeId => {
    if (stride === 1 && g.shape(input).c === out) return input;
    const pooled = stride === 1 ? input : g.add({ op: "pool", kind: "avg", input, kernel: 2, stride: 2, padding: 0 });
    const conv = { name: `${name}.downsample.0`, input: pooled, out, kernel: 1, stride: 1, padding: 0 };
    return g.add({ op: "batchnorm", name: `${name}.downsample.1`, input: g.add({ op: "conv", ...conv }) });
  };
  const layer = (block: string, index: number, input: NodeId, out: number, stride: number): NodeId => {
    const name = `${block}.conv${index}`;
    const conv = method.body(g, { name, input, out, kernel: 3, stride, padding: 1 });
    const map = g.add({ op: "batchnorm", name: `${block}.bn${index}`, input: conv });
    g.compare(name, map);
    const sum = g.add({ op: "add", input: map, other: shortcut(block, input, out, stride) });
    return g.activation(activation, `${block}.prelu${index}`, sum);
  };

  const { kernel, stride, padding } = stem;
  let h = g.add({ op: "conv", name: "conv1", input: g.input, out: widths[0], kernel, stride, padding });
  h = g.add({ op: "batchnorm", name: "bn1", input: h });
  h = g.activation(activation, "prelu1", h);
  if (stem.maxpool) h = g.add({ op: "pool", kind: "max", input: h, kernel: 3, stride: 2, padding: 1 });
  widths.forEach((width, stage) => {
    for (let b = 0; b < blocks[stage]; b++) {
      const block = `layer${stage + 1}.${b}`;
      h = layer(block, 1, h, width, stage > 0 && b === 0 ? 2 : 1);
      h = layer(block, 2, h, width, 1);
    }
  });
  h = g.add({ op: "globalpool", input: h });
  return g.build(g.add({ op: "linear", name: "fc", input: h, out: classes }));
}
