// LeNet-5 with a binary second and third layer (README.md here): the network of the shipped example.

import { z } from "zod";
import type { Graph, NodeId } from "../graph.ts";
import type { Method } from "../methods/method.ts";
import { count, defineModel, graphOfOne, type NetworkIo } from "./model.ts";

export interface LeNetOptions {
  /** Channels of conv1, conv2, conv3; the paper's are 20-50-500. */
  readonly widths: readonly [number, number, number];
}

/**
 * conv1 5×5 → pool → BN → body 5×5 → pool → BN → body over the whole map → BN → PReLU → head: every method's order, but
 * for the activation that its authors put before a sign.
 */
function leNet({ widths }: LeNetOptions, io: NetworkIo, method: Method): Graph {
  const g = graphOfOne(io);
  // BN stands right before each sign: after a rectifier every sign would be +1. The teacher has PReLU there instead.
  const { activation } = method.block;
  const beforeSign = activation === "model" ? "identity" : activation;
  const before = method.binarizesInput ? beforeSign : "prelu";
  const beforeBody = (name: string, node: NodeId) => g.activation(before, name, node);
  const half = (node: NodeId) => g.add({ op: "pool", kind: "max", input: node, kernel: 2, stride: 2, padding: 0 });

  let h = g.add({ op: "conv", name: "conv1", input: g.input, out: widths[0], kernel: 5, stride: 1, padding: 0 });
  h = g.add({ op: "batchnorm", name: "bn1", input: half(h) });
  h = beforeBody("prelu1", h);
  h = method.body(g, { name: "conv2", input: h, out: widths[1], kernel: 5, stride: 1, padding: 0 });
  h = g.add({ op: "batchnorm", name: "bn2", input: half(h) });
  g.compare("conv2", h);
  h = beforeBody("prelu2", h);
  // The binary fully connected layer: a convolution over the whole remaining map (4×4 for 28×28 images).
  h = method.body(g, { name: "conv3", input: h, out: widths[2], kernel: g.shape(h).h, stride: 1, padding: 0 });
  h = g.add({ op: "batchnorm", name: "bn3", input: h });
  g.compare("conv3", h);
  h = g.activation("prelu", "prelu3", h);
  return g.build(io.head(g, h));
}

export const leNetModel = defineModel({
  kind: "lenet",
  schema: z.strictObject({
    kind: z.literal("lenet"),
    widths: z.tuple([count, count, count]).default([12, 24, 96]).describe("channels of conv1, conv2, conv3"),
  }),
  build: leNet,
});
