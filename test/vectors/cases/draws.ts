// Vectors of what is drawn: the generator's blocks, streams by their addresses, permutations, and where augmentation
// puts an image.

import { sha256Hex } from "../../../shared/base/hash.ts";
import { permutation } from "../../../shared/base/permutation.ts";
import { philox, type RngPathElement, rng } from "../../../shared/base/rng.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { sampleOrder } from "../../../shared/samples/sample-order.ts";
import { fromHex, hex } from "../text.ts";
import { vectorConfig, vectorDataset } from "./run.ts";

type Address = readonly [RngPathElement, ...RngPathElement[]];

/** As SPEC.md says it, and not as rng.ts does it. */
export function addressBytes(address: Address): Uint8Array {
  const parts = address.map((element) => {
    const word = Buffer.alloc(8);
    const text = typeof element === "string" ? Buffer.from(element, "utf8") : Buffer.alloc(0);
    word.writeDoubleLE(typeof element === "string" ? text.length : element);
    return Buffer.concat([Buffer.of(typeof element === "string" ? 1 : 0), word, text]);
  });
  return Buffer.concat(parts);
}

const blocks: readonly (readonly [readonly [number, number, number, number], number, number])[] = [
  [[0, 0, 0, 0], 0, 0],
  [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], 0xffffffff, 0xffffffff],
  [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0xa4093822, 0x299f31d0],
];

const addresses: readonly Address[] = [
  [0],
  [7, "permutation", "epoch", "teacher", 0],
  [4294967295, "canary", "a", 0],
  [0, "augment", "student", 2, 12345],
  [1, "ß"],
];

function stream(address: Address) {
  const bytes = addressBytes(address);
  const digest = sha256Hex(bytes);
  const key = new Uint32Array(fromHex(digest.slice(0, 16)).buffer);
  const of = () => rng(...address);
  const [words, uniforms, belows] = [of(), of(), of()];
  return {
    address,
    bytes: hex(bytes),
    sha256: digest,
    key: [...key],
    words: Array.from({ length: 6 }, () => words.uint32()),
    uniform: Array.from({ length: 3 }, () => uniforms.uniform()),
    below9: Array.from({ length: 6 }, () => belows.below(9)),
  };
}

export function draws() {
  return {
    philox: blocks.map(([counter, key0, key1]) => {
      const words = new Uint32Array(4);
      philox(words, counter, key0, key1);
      return { counter, key: [key0, key1], words: [...words] };
    }),
    streams: addresses.map(stream),
  };
}

const ordered: readonly (readonly [number, number, string, number])[] = [
  [10, 7, "teacher", 0],
  [10, 7, "teacher", 1],
  [10, 8, "student", 0],
  [1, 0, "bn", 3],
  [257, 4294967295, "student", 2],
];

/** The sample at each position of an epoch: of raw samples, and of samples that lie in chunks. */
export function permutations() {
  const raw = ordered.map(([size, seed, phase, epoch]) => {
    const order = permutation(size, seed, "epoch", phase, epoch);
    const at = sampleOrder(seed, dataOf(size, { kind: "raw" }), { phase, epoch, split: "train" });
    const samples = Array.from({ length: size }, (_, position) => order.at(position));
    if (samples.some((sample, position) => at(position) !== sample)) throw new Error("a lease's order is another");
    return { samples: size, chunk: 1, seed, phase, epoch, order: samples };
  });
  const chunked = [3, 4].map((chunk) => {
    const [size, seed, phase, epoch] = [14, 7, "student", 0] as const;
    const format = { kind: "bytes", media: "image/png", targetBytes: 2, chunk } as const;
    const at = sampleOrder(seed, dataOf(size, format), { phase, epoch, split: "train" });
    return { samples: size, chunk, seed, phase, epoch, order: Array.from({ length: size }, (_, p) => at(p)) };
  });
  return [...raw, ...chunked];
}

function dataOf(samples: number, format: Dataset["format"]): Dataset {
  const data = vectorDataset();
  return { ...data, format, train: { ...data.train, samples } };
}

/** Draws of `crop-flip`: below(9), below(9), below(2), of the stream of a sample. */
export function augmentations() {
  const { seed } = vectorConfig();
  return [0, 1, 2, 3].map((sample) => {
    const stream = rng(seed, "augment", "student", 1, sample);
    return { seed, phase: "student", epoch: 1, sample, draws: [stream.below(9), stream.below(9), stream.below(2)] };
  });
}
