// Kernels of inference, once for each way that their texts can differ.

import { type Convolve, convolve } from "../../kernels/inference/convolve.ts";
import { correlate } from "../../kernels/inference/correlate.ts";
import {
  type FewBits,
  magnitudeMap,
  packMap,
  poolAll,
  poolMap,
  quantiseMap,
  tailMap,
} from "../../kernels/inference/maps.ts";
import { pixelMap } from "../../kernels/inference/pixels.ts";
import type { TailParts } from "../../kernels/inference/tail.ts";
import type { Kernel } from "../../kernels/text/kernel.ts";
import type { WindowShape } from "../../shared/model/window.ts";

const shape: WindowShape = { n: 1, h: 9, w: 7, in: 33, out: 10, kernel: 3, stride: 2, padding: 1 };
const inGroups: WindowShape = { ...shape, in: 48, out: 8, groups: 2 };
const map = { positions: 63, channels: 33, stride: 36 };
const tails: readonly TailParts[] = [
  { factors: false, affine: false, add: false, activation: "none" },
  { factors: false, affine: true, add: true, activation: "slope" },
  { factors: true, affine: true, add: false, activation: "clip" },
];
const products: readonly Convolve["products"][] = [
  { kind: "float", pixel: 36 },
  { kind: "taps" },
  { kind: "bits", operation: "xor", planes: [0], channels: 1, ones: 0 },
  { kind: "bits", operation: "xor", planes: [0, 1, 0, 1], channels: 0, ones: 2 },
  { kind: "bits", operation: "and", planes: [0, 0], channels: 0, ones: 1 },
];
const rules: readonly FewBits[] = [{ kind: "sign" }, { kind: "bits", bits: 3 }, { kind: "bases", bases: 2 }];

export function inferenceKernels(): readonly Kernel[] {
  return [
    ...products.flatMap((one) => tails.map((tail) => convolve({ shape, products: one, tail }))),
    ...products.map((one, i) => convolve({ shape: inGroups, products: one, tail: tails[i % tails.length]! })),
    packMap({ positions: 63, channels: 96, stride: 96, groups: 2 }, { kind: "sign" }),
    ...tails.map((tail) => tailMap(map, tail)),
    ...rules.flatMap((rule) => [packMap(map, rule), quantiseMap(map, rule)]),
    poolMap(shape, "max", map.stride),
    poolMap(shape, "avg", map.stride),
    poolAll(map),
    magnitudeMap(shape, map.stride),
    ...([1, 3] as const).map((channels) => pixelMap(30, channels)),
    correlate({ exemplar: { h: 6, w: 5 }, search: { h: 9, w: 9 }, n: 3, stride: 12, scale: 0.001 }),
  ];
}
