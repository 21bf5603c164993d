// The canary's sums against a plain convolution of ±1, so that a mistake in counting cannot hide behind the same
// mistake on the GPU.

import { expect, test } from "vitest";
import {
  CANARY_WORDS,
  type CanaryPlanes,
  canaryAnswer,
  canaryHash,
  canaryLayers,
  canaryOperands,
  canarySums,
} from "../../../shared/model/canary.ts";
import { groupCount, signWords, type WindowShape } from "../../../shared/model/window.ts";
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
  const shapes = [padded, { ...padded, groups: 3 }];
  const layers = [...layersOf({}), ...resnet, ...shapes.map((shape) => ({ shape, rectify: "kernel" }) as const)];
  expect(layers.some(({ shape }) => shape.padding > 0 && shape.stride > 1)).toBe(true);
  for (const [index, layer] of layers.entries()) {
    const { shape } = layer;
    const { a, w } = canaryOperands(layer, index, 7);
    const groups = groupCount(shape);
    const x = signsOf(a, shape.h * shape.w * groups, shape.in);
    const weights = signsOf(w, groups * shape.out * shape.kernel ** 2, shape.in);
    expect([...canarySums(layer, { a, w })]).toEqual([...convolution(shape, x, weights).values].map((v) => v + 0));
  }
});

test("the sums of planes are those of what the planes stand for", () => {
  const shape: WindowShape = { n: 1, h: 5, w: 4, in: 33, out: 3, kernel: 3, stride: 2, padding: 1 };
  const rules: readonly CanaryPlanes["activations"][] = [
    { kind: "sign", surrogate: "ste" },
    { kind: "bits", bits: 3 },
    { kind: "bases", bases: 2 },
  ];
  const forms: readonly CanaryPlanes["weights"][] = [
    { kind: "linear", planes: 2, scale: "layer" },
    { kind: "ternary" },
  ];
  for (const activations of rules) {
    for (const weights of forms) {
      const layer = { shape, planes: { activations, weights } };
      const { a, w } = canaryOperands(layer, 0, 7);
      const [pixels, taps] = [shape.h * shape.w, shape.out * shape.kernel ** 2];
      const ofA = signsOf(a, a.length / signWords(shape.in), shape.in);
      const ofW = signsOf(w, w.length / signWords(shape.in), shape.in);
      const plane = (values: Float32Array, j: number, rows: number) =>
        values.subarray(j * rows * shape.in, (j + 1) * rows * shape.in);
      const sum = (values: Float32Array, rows: number, each: (sign: number, j: number) => number) =>
        Float32Array.from({ length: rows * shape.in }, (_, i) => {
          let total = 0;
          for (let j = 0; j * rows * shape.in < values.length; j++) total += each(plane(values, j, rows)[i], j);
          return total;
        });
      const x = sum(ofA, pixels, (sign, j) => (activations.kind === "bits" ? 2 ** j * (sign < 0 ? 1 : 0) : sign));
      const effective =
        weights.kind === "ternary"
          ? plane(ofW, 0, taps).map((sign, i) => (plane(ofW, 1, taps)[i] < 0 ? 0 : sign))
          : sum(ofW, taps, (sign) => sign);
      const what = JSON.stringify(layer.planes);
      const expected = [...convolution(shape, x, effective).values].map((v) => v + 0);
      expect([...canarySums(layer, { a, w })], what).toEqual(expected);
    }
  }
});

test("methods of bit planes have layers to ask for, and those of floats have none", () => {
  const kinds = (method: Record<string, unknown>) =>
    layersOf({ method }).map((layer) => ("planes" in layer ? layer.planes.activations.kind : layer.rectify));
  expect(new Set(kinds({ kind: "dorefa" }))).toEqual(new Set(["bits"]));
  expect(new Set(kinds({ kind: "abc" }))).toEqual(new Set(["bases"]));
  expect(new Set(kinds({ kind: "ttq", activations: "sign" }))).toEqual(new Set(["sign"]));
  for (const kind of ["ttq", "full"]) {
    const layers = layersOf({ method: { kind } });
    expect(layers).toEqual([]);
    expect(canaryAnswer(layers, 1)).toBe(0);
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
