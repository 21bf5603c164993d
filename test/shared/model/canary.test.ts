// The canary's sums against a plain convolution of ±1, so that a mistake in counting cannot hide behind the same
// mistake on the GPU.

import { expect, test } from "vitest";
import {
  CANARY_WORDS,
  canaryAnswer,
  canaryHash,
  canaryLayers,
  canaryOperands,
  canarySums,
} from "../../../shared/model/canary.ts";
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { convolution } from "../../kernels/reference.ts";

const images = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };
const layersOf = (config: Record<string, unknown>, dataset = images) =>
  canaryLayers(buildNetworks(parseConfig(config), dataset).student.graph);

/** ±1 of sign planes [rows][signWords(channels)]. */
function signsOf(planes: Uint32Array, rows: number, channels: number): Float32Array {
  const words = signWords(channels);
  return Float32Array.from({ length: rows * channels }, (_, i) => {
    const [row, channel] = [Math.floor(i / channels), i % channels];
    return (planes[row * words + (channel >> 5)] >>> (channel & 31)) & 1 ? -1 : 1;
  });
}

test("the sums are those of a convolution of the signs, zero outside the map", () => {
  const resnet = layersOf({ model: { kind: "resnet", widths: [8, 40], blocks: [1, 1] } });
  const padded: WindowShape = { n: 1, h: 5, w: 4, in: 33, out: 3, kernel: 3, stride: 2, padding: 1 };
  const layers = [...layersOf({}), ...resnet, { shape: padded, rectify: "kernel" } as const];
  expect(layers.some(({ shape }) => shape.padding > 0 && shape.stride > 1)).toBe(true);
  for (const [index, layer] of layers.entries()) {
    const { shape } = layer;
    const { a, w } = canaryOperands(layer, index, 7);
    const x = signsOf(a, shape.h * shape.w, shape.in);
    const weights = signsOf(w, shape.out * shape.kernel ** 2, shape.in);
    expect([...canarySums(layer, { a, w })]).toEqual([...convolution(shape, x, weights).values].map((v) => v + 0));
  }
});

test("every network has a layer to ask for, and no newcomer costs more than the bound or one layer", () => {
  const color = { shape: { h: 224, w: 224, c: 3 }, classes: 1000 };
  const networks: [Record<string, unknown>, typeof images][] = [
    [{}, images],
    [{ model: { kind: "resnet" } }, { shape: { h: 32, w: 32, c: 3 }, classes: 10 }],
    [{ model: { kind: "resnet", stem: "imagenet" } }, color],
  ];
  for (const [config, dataset] of networks) {
    const layers = layersOf(config, dataset);
    const words = layers.map(
      (layer) =>
        canarySums(layer, canaryOperands(layer, 0, 1)).length * layer.shape.kernel ** 2 * signWords(layer.shape.in),
    );
    expect(layers.length).toBeGreaterThan(0);
    expect(words.length === 1 || words.reduce((p, q) => p + q) <= CANARY_WORDS).toBe(true);
  }
});

test("another seed, a sum off by one and a value that is no number give another hash", () => {
  const layers = layersOf({});
  expect(canaryAnswer(layers, 1)).toBe(canaryAnswer(layers, 1));
  expect(canaryAnswer(layers, 2)).not.toBe(canaryAnswer(layers, 1));
  const hash = canaryHash([[1, 2, 3]]);
  expect(canaryHash([[1, 2], [3]])).toBe(hash);
  for (const wrong of [1, 4, 3.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(canaryHash([[1, 2, wrong]])).not.toBe(hash);
});
