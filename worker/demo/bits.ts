// Where the bits of a network are: how many of its weights have one, and a picture of the signs of a layer.

import { channelsSeen } from "../../shared/export/dense-weight.ts";
import type { ExportedModel, ExportedNode } from "../../shared/export/exported-model.ts";
import { planesOf } from "../../shared/export/read-exported.ts";

export interface LayerBits {
  readonly name: string;
  /** Filters, channels that each looks at, and the side of its window. */
  readonly out: number;
  readonly channels: number;
  readonly kernel: number;
  /** Planes of one bit a weight. */
  readonly planes: number;
  /** The tensor with the planes. */
  readonly tensor: string;
}

/** The tensor with a node's bits, of which the first plane is shown. */
function tensorOf(node: ExportedNode): string | undefined {
  if (node.op === "rbconv") return node.tensors.signs;
  return node.op === "qconv" ? node.tensors.planes : undefined;
}

/** The layers of bits, in order. */
export function layersOfBits(model: ExportedModel): readonly LayerBits[] {
  return model.nodes.flatMap((node) => {
    const tensor = tensorOf(node);
    if (tensor === undefined || (node.op !== "rbconv" && node.op !== "qconv")) return [];
    const { name, out, kernel } = node;
    const channels = channelsSeen(model, node);
    const words = planesOf(model, tensor).length / (out * kernel * kernel * Math.ceil(channels / 32));
    return [{ name, out, channels, kernel, planes: words, tensor }];
  });
}

export interface BitCount {
  readonly bits: number;
  /** Learned numbers of 32 bits each. */
  readonly floats: number;
  /** Running means and variances, which fold into the batch norms' weights and biases: sizes are without them. */
  readonly statistics: number;
}

/** What a network's file holds. */
export function countBits(model: ExportedModel): BitCount {
  const layers = layersOfBits(model);
  const bits = layers.reduce(
    (sum, { out, channels, kernel, planes }) => sum + out * channels * kernel ** 2 * planes,
    0,
  );
  const planes = new Set(layers.map(({ tensor }) => tensor));
  const running = new Set(
    model.nodes.flatMap((node) => (node.op === "batchnorm" ? [node.tensors.mean, node.tensors.variance] : [])),
  );
  let [floats, statistics] = [0, 0];
  for (const [name, { shape }] of model.tensors) {
    const count = shape.reduce((product, length) => product * length, 1);
    if (running.has(name)) statistics += count;
    else if (!planes.has(name)) floats += count;
  }
  return { bits, floats, statistics };
}

export interface SignPicture {
  readonly width: number;
  readonly height: number;
  /** Each pixel: 1 for a weight of +1, 0 for one of −1, 2 between windows. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly filters: number;
  readonly channels: number;
}

/** Filters beside each other, and channels below each other, that are shown at most. */
const MOST_FILTERS = 32;
const MOST_CHANNELS = 16;

/** The signs of a layer's first filters and channels: a column a filter, a row a channel, a window where they meet. */
export function signPicture(model: ExportedModel, layer: LayerBits): SignPicture {
  const { kernel, tensor } = layer;
  const [filters, channels] = [Math.min(layer.out, MOST_FILTERS), Math.min(layer.channels, MOST_CHANNELS)];
  const words = planesOf(model, tensor);
  const wordsEach = Math.ceil(layer.channels / 32);
  const cell = kernel + 1;
  const [width, height] = [filters * cell - 1, channels * cell - 1];
  const pixels = new Uint8Array(width * height).fill(2);
  for (let out = 0; out < filters; out++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < kernel; y++) {
        for (let x = 0; x < kernel; x++) {
          // [out][kh][kw][channel], 32 channels a word; a bit that is set is −1.
          const word = words[((out * kernel + y) * kernel + x) * wordsEach + (channel >> 5)];
          pixels[(channel * cell + y) * width + out * cell + x] = (word >>> (channel & 31)) & 1 ? 0 : 1;
        }
      }
    }
  }
  return { width, height, pixels, filters, channels };
}
