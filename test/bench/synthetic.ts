// Synthetic images, labels and fresh parameters: a benchmark needs the sizes of the real ones and ordinary values.

import { deriveCompanions, makeCompanions, settleLayer } from "../../coordinator/state/latent-layers.ts";
import { rng } from "../../shared/base/rng.ts";
import { type Dataset, MEDIA_CLIP, shardBytes } from "../../shared/data/dataset.ts";
import { kaimingNormal, uniform } from "../../shared/model/initialise.ts";
import { elementCount, type Manifest } from "../../shared/model/manifest.ts";
import { bestRectifier } from "../../shared/model/methods/shared-scale.ts";
import type { Network } from "../../shared/run/networks.ts";
import type { MicrobatchInput } from "../../shared/samples/microbatch.ts";
import type { TaskInput } from "../../shared/tasks/task.ts";
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

/** A data set of clips, each of crops of 255 × 255: what it says of itself, without contents. */
export function clipDataset(clips: number): Dataset {
  const shape = { h: 255, w: 255, c: 3 };
  const format = { kind: "bytes", media: MEDIA_CLIP, targetBytes: 2, chunk: 1 } as const;
  return { ...syntheticDataset(shape, 0, clips), format };
}

/** A microbatch of bytes without a pattern. */
export function noise(inputs: readonly TaskInput[], n: number): MicrobatchInput {
  // Drawing millions of numbers takes longer than a step.
  const drawn = (size: number) => Uint8Array.from({ length: size }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
  return Object.fromEntries(inputs.map(({ name, h, w, c }) => [name, drawn(n * h * w * c)]));
}

/** A network as a run begins it, with what its method makes of its weights, and its partners. */
export function freshNetwork(network: Network): Parameters {
  const { saved, latent, partners } = network;
  const entries = saved.entries.filter(({ initial }) => initial.kind !== "companion");
  const beside = Object.values(partners).flatMap((partner) => partner.entries);
  const made = new Map(freshParameters({ entries: [...entries, ...beside] }));
  for (const layer of latent) {
    settleLayer(network, made, layer);
    makeCompanions(network, made, layer);
  }
  deriveCompanions(network, made, latent);
  return made;
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
      case "values":
        made.set(name, Float32Array.from(initial.values));
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
