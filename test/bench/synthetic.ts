// Synthetic images, labels and fresh parameters: a benchmark needs the sizes of the real ones and ordinary values.

import { rng } from "../../shared/base/rng.ts";
import { type Dataset, shardBytes } from "../../shared/data/dataset.ts";
import { kaimingNormal, uniform } from "../../shared/model/initialise.ts";
import { elementCount, type Manifest } from "../../shared/model/manifest.ts";
import { bestRectifier } from "../../shared/model/methods/shared-scale.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";

type Four = readonly [number, number, number, number];
type ImageShape = Dataset["shape"];

const HASH = "0".repeat(64);

/** A data set of one shard with so many samples. */
export function syntheticDataset(shape: ImageShape, classes: number, samples: number): Dataset {
  const split = { samples, shards: [{ sha256: HASH, samples, bytes: shardBytes({ shape }, samples) }] };
  const channels = <T>(value: T): T[] => new Array<T>(shape.c).fill(value);
  const format = { kind: "raw" } as const;
  const [mean, std] = [channels(0.5), channels(0.25)];
  return { name: "synthetic", format, shape, classes, mean, std, train: split, test: split };
}

/** Its shard: even noise, and labels that go round the classes. */
export function syntheticShards(dataset: Dataset): ReadonlyMap<string, Uint8Array> {
  const { shape, classes, train } = dataset;
  const bytes = new Uint8Array(shardBytes(dataset, train.samples));
  const draws = rng(0, "bench", "pixels");
  const pixels = train.samples * shape.h * shape.w * shape.c;
  for (let i = 0; i < pixels; i++) bytes[i] = draws.below(256);
  const labels = new DataView(bytes.buffer);
  for (let i = 0; i < train.samples; i++) labels.setUint16(pixels + 2 * i, (7 * i) % classes, true);
  return new Map([[HASH, bytes]]);
}

/** Parameters as a run starts with. */
export function freshParameters(manifest: Manifest): Parameters {
  const made = new Map<string, Float32Array>();
  for (const { name, role, shape, initial } of manifest.entries) {
    const draws = rng(0, "bench", name);
    switch (initial.kind) {
      case "kaiming-normal": {
        const values = kaimingNormal(draws, shape, initial.fanIn);
        made.set(name, role === "latent" ? values.map((w) => Math.min(1, Math.max(-1, w))) : values);
        break;
      }
      case "uniform":
        made.set(name, uniform(draws, elementCount(shape), initial.bound));
        break;
      case "constant":
        made.set(name, new Float32Array(elementCount(shape)).fill(initial.value));
        break;
      case "companion": {
        const weight = manifest.entries.find((entry) => entry.name === initial.of);
        if (!weight) throw new RangeError(`${name} starts from ${initial.of}, which the manifest does not have`);
        made.set(name, bestRectifier(weight.shape as Four, shape as Four, parameter(made, weight.name)));
        break;
      }
      default:
        initial satisfies never;
    }
  }
  return made;
}
