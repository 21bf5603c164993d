// LeNet-5 with a binary second and third layer (README.md here): the network of the shipped example.

import { z } from "zod";
import { BitswarmError } from "../../base/errors.ts";
import type { Graph, NodeId, Shape } from "../graph.ts";
import { behindNorm, type Method } from "../methods/method.ts";
import { outputLength } from "../window.ts";
import { defineModel, graphOfOne, type NetworkIo, width } from "./model.ts";

export interface LeNetOptions {
  /** Channels of conv1, conv2, conv3; the paper's are 20-50-500. */
  readonly widths: readonly [number, number, number];
}

/** Kernels of conv1 and conv2, each before a pool of 2. */
const KERNEL = 5;

/** Rows that two times convolution and pool leave of an image; below 1 where it is too small. */
function remaining(size: number): number {
  const half = (n: number) => outputLength(outputLength(n, KERNEL, 1, 0), 2, 2, 0);
  return half(half(size));
}

/** The least rows and columns that leave a map. */
function leastSide(): number {
  let side = KERNEL;
  while (remaining(side) < 1) side++;
  return side;
}

/** conv3 covers the whole map that remains, with a square kernel. @throws GRAPH_INVALID saying what fits */
function requireImage({ h, w }: Shape): void {
  if (remaining(h) >= 1 && remaining(h) === remaining(w)) return;
  const least = leastSide();
  const what = Math.min(h, w) < least ? "too small" : "not square";
  throw new BitswarmError(
    "GRAPH_INVALID",
    `model.kind lenet takes square images of ${least}×${least} or more, data.pad included; ${h}×${w} is ${what}. Crop or pad the images, or set model.kind=resnet or model.kind=wrn, which take any shape`,
  );
}

/**
 * conv1 5×5 → pool → BN → body 5×5 → pool → BN → body over the whole map → BN → PReLU → head: every method's order, but
 * for the activation that its authors put before a sign.
 */
function leNet({ widths }: LeNetOptions, io: NetworkIo, method: Method): Graph {
  const g = graphOfOne(io);
  requireImage(g.shape(g.input));
  // BN stands right before each sign: after a rectifier every sign would be +1. The teacher has PReLU there instead.
  const { activation } = method.block;
  const beforeSign = activation === "model" ? "identity" : activation;
  const before = method.binarizesInput ? beforeSign : "prelu";
  const beforeBody = (name: string, node: NodeId) => g.activation(before, name, node);
  const half = (node: NodeId) => g.add({ op: "pool", kind: "max", input: node, kernel: 2, stride: 2, padding: 0 });

  let h = g.add({ op: "conv", name: "conv1", input: g.input, out: widths[0], kernel: KERNEL, stride: 1, padding: 0 });
  h = g.add({ op: "batchnorm", name: "bn1", input: half(h) });
  h = beforeBody("prelu1", h);
  h = method.body(g, { name: "conv2", input: h, out: widths[1], kernel: KERNEL, stride: 1, padding: 0 });
  h = g.add({ op: "batchnorm", name: "bn2", input: half(h) });
  h = behindNorm(method, g, { name: "conv2" }, h);
  g.compare("conv2", h);
  h = beforeBody("prelu2", h);
  // The binary fully connected layer: a convolution over the whole remaining map (4×4 for 28×28 images).
  h = method.body(g, { name: "conv3", input: h, out: widths[2], kernel: g.shape(h).h, stride: 1, padding: 0 });
  h = g.add({ op: "batchnorm", name: "bn3", input: h });
  h = behindNorm(method, g, { name: "conv3" }, h);
  g.compare("conv3", h);
  h = g.activation("prelu", "prelu3", h);
  return g.build(io.head(g, h));
}

export const leNetModel = defineModel({
  kind: "lenet",
  schema: z.strictObject({
    kind: z.literal("lenet"),
    widths: z.tuple([width, width, width]).default([12, 24, 96]).describe("channels of conv1, conv2, conv3"),
  }),
  guess: (shapeOf) => {
    const widths = ["conv1", "conv2", "conv3"].map((name) => shapeOf(`${name}.weight`)?.[0] ?? 0);
    return widths.includes(0) ? undefined : { kind: "lenet" as const, widths: widths as [number, number, number] };
  },
  build: leNet,
});
