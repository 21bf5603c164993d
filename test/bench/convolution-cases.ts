// The convolutions that are timed one by one: LeNet's, a CIFAR ResNet's, a tracker's, the discriminators', and the
// layer that peers were measured on.

import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import type { Rectify } from "../../shared/model/rectify.ts";
import { groupCount, outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";

export interface ConvolutionCase {
  /** The layer and the pass, e.g. `peer 128-128 binary forward`. */
  readonly name: string;
  readonly pass: ConvolutionPass;
}

type Layer = readonly [name: string, shape: WindowShape];

function layer(
  name: string,
  n: number,
  side: number,
  [input, out]: readonly [number, number],
  [kernel, stride, padding]: readonly [number, number, number],
  groups?: number,
): Layer {
  return [name, { n, h: side, w: side, in: input, out, kernel, stride, padding, ...(groups && { groups }) }];
}

const shared: readonly Layer[] = [
  layer("lenet conv2", 32, 12, [12, 24], [5, 1, 0]),
  layer("lenet conv3", 32, 4, [24, 96], [4, 1, 0]),
  layer("cifar 64-64", 8, 32, [64, 64], [3, 1, 1]),
  layer("cifar 64-128 stride 2", 8, 32, [64, 128], [3, 2, 1]),
  layer("cifar 256-256", 8, 8, [256, 256], [3, 1, 1]),
  layer("peer 128-128", 8, 28, [128, 128], [3, 1, 1]),
  layer("siamfc conv2", 2, 57, [48, 128], [5, 1, 0], 2),
  layer("siamfc conv4", 2, 24, [192, 192], [3, 1, 0], 2),
];

const floatOnly: readonly Layer[] = [
  layer("lenet conv1", 32, 28, [1, 12], [5, 1, 0]),
  layer("lenet fc", 32, 1, [96, 10], [1, 1, 0]),
  layer("discriminator 12-128", 64, 1, [12, 128], [1, 1, 0]),
  layer("discriminator 128-256", 64, 1, [128, 256], [1, 1, 0]),
  layer("discriminator 256-128", 64, 1, [256, 128], [1, 1, 0]),
  layer("discriminator 128-1", 64, 1, [128, 1], [1, 1, 0]),
  layer("cifar stem", 8, 32, [3, 64], [3, 1, 1]),
  layer("siamfc conv1", 2, 239, [3, 96], [11, 2, 0]),
  // A plain matrix product: what the tiles make of the adapter where nothing but a product is to be done.
  layer("gemm 512x512x512", 512, 1, [512, 512], [1, 1, 0]),
];

const rectify: Rectify = "kernel";

const floatPasses = ([name, shape]: Layer): readonly ConvolutionCase[] => [
  { name: `${name} float forward`, pass: { verb: "convForward", shape, bias: false } },
  { name: `${name} float input gradient`, pass: { verb: "convInputGradient", shape, accumulate: false } },
  { name: `${name} float weight gradient`, pass: { verb: "convWeightGradient", shape } },
];

const binaryPasses = ([name, shape]: Layer): readonly ConvolutionCase[] => [
  { name: `${name} binary forward`, pass: { verb: "binaryConvForward", shape, rectify } },
  {
    name: `${name} binary input gradient`,
    pass: { verb: "binaryConvInputGradient", shape, rectify, surrogate: "bireal", accumulate: false },
  },
  { name: `${name} binary weight gradient`, pass: { verb: "binaryConvWeightGradient", shape } },
];

export const convolutionCases: readonly ConvolutionCase[] = [
  ...[...shared, ...floatOnly].flatMap(floatPasses),
  ...shared.flatMap(binaryPasses),
];

/** The layer of the peers' comparison. */
export const peerShape: WindowShape = { n: 8, h: 28, w: 28, in: 128, out: 128, kernel: 3, stride: 1, padding: 1 };

/** Multiply-adds of the dense definition (padding included), counted as two operations. */
export function denseOperations(shape: WindowShape): number {
  const { n, out, kernel } = shape;
  return 2 * n * outputHeight(shape) * outputWidth(shape) * groupCount(shape) * out * kernel * kernel * shape.in;
}
