// The run that the vectors are of: a LeNet small enough to be printed, on images of two channels, so that an axis that
// is mistaken shows.

import { createTrainingState, type ParameterMap } from "../../../coordinator/state/training-state.ts";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { rng } from "../../../shared/base/rng.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { writeShard } from "../../../shared/data/shard-layout.ts";
import { elementCount, type Manifest } from "../../../shared/model/manifest.ts";
import { parseConfig, type RunConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phasesOf } from "../../../shared/run/program.ts";

export const RUN_TAG = "000102030405060708090a0b0c0d0e0f";
const SAMPLES = 6;
const SHAPE = { h: 20, w: 20, c: 2 } as const;
const CLASSES = 5;

export function vectorConfig(overrides: Record<string, unknown> = {}): RunConfig {
  return parseConfig({
    name: "vectors",
    seed: 11,
    model: { kind: "lenet", widths: [3, 4, 5] },
    data: { kind: "idx", trainSamples: SAMPLES, testSamples: SAMPLES },
    task: { kind: "classification", labelSmoothing: 0.1 },
    batch: 4,
    microbatch: 4,
    adversarial: { lambda: 0.5, warmupEpochs: 0 },
    ...overrides,
  });
}

/** What a worker reads of a configuration (annex 10 of SPEC.md) beside data and transport, every field there. */
export function readByWorkers(config: RunConfig) {
  const { seed, microbatch, model, method, objective, task, adversarial, optimizer, sync } = config;
  // Its terms are in the program; here it says which program a vector is of.
  const own = objective.kind === "method" ? {} : { objective };
  return { seed, microbatch, model, method, ...own, task, adversarial, optimizer, sync };
}

/** What parameters and their places follow from. */
export function shapedBy({ model, method, sync, teacher }: RunConfig) {
  return { model, method, sync, ...(teacher.model && { teacher: { model: teacher.model } }) };
}

/** Pixels that a network can tell apart, and labels, from the generator itself. */
export function shard(): Uint8Array<ArrayBuffer> {
  const writer = writeShard({ format: { kind: "raw" }, shape: SHAPE }, SAMPLES);
  for (let sample = 0; sample < SAMPLES; sample++) {
    const draws = rng("vectors", "pixels", sample);
    const content = Uint8Array.from({ length: SHAPE.h * SHAPE.w * SHAPE.c }, () => draws.uint32() & 255);
    writer.add({ content, target: Uint8Array.of(sample % CLASSES, 0) });
  }
  return writer.take().bytes;
}

export function vectorDataset(): Dataset {
  const bytes = shard();
  const split = { samples: SAMPLES, shards: [{ sha256: sha256Hex(bytes), samples: SAMPLES, bytes: bytes.length }] };
  return {
    name: "vectors",
    format: { kind: "raw" },
    shape: SHAPE,
    classes: CLASSES,
    mean: [0.5, 0.25],
    std: [0.25, 0.5],
    train: split,
    test: split,
  };
}

export function vectorNetworks(config = vectorConfig()) {
  return buildNetworks(config, vectorDataset(), phasesOf(config).outline);
}

/**
 * Values of a tensor that anybody can draw: of the stream ("vectors", name) element i is the float32 of bound·(2u − 1),
 * u the i-th uniform draw, plus `center`.
 */
export function drawn(name: string, size: number, bound: number, center = 0): Float32Array<ArrayBuffer> {
  const draws = rng("vectors", name);
  return Float32Array.from({ length: size }, () => bound * (2 * draws.uniform() - 1) + center);
}

/** Half the width of a tensor's values, and their middle, by what it is. */
export function spreadOf(named: string, shape: readonly number[]): readonly [bound: number, center: number] {
  const name = named.replace(/^twin\./, "");
  if (name.endsWith("running_var")) return [0.25, 1];
  if (name.startsWith("bn") && name.endsWith(".weight")) return [0.25, 1];
  if (name.startsWith("prelu")) return [0.1, 0.25];
  if (name.endsWith(".c")) return [0.05, 0.25];
  if (shape.length < 2) return [0.1, 0];
  return [1 / Math.sqrt(elementCount(shape) / shape[0]), 0];
}

/** Parameters of a manifest: of `network/name`, as `drawn`. */
export function drawnParameters(network: string, manifest: Manifest): ParameterMap {
  return new Map(
    manifest.entries.map(({ name, shape }) => [
      name,
      drawn(`${network}/${name}`, elementCount(shape), ...spreadOf(name, shape)),
    ]),
  );
}

export function vectorState(config = vectorConfig()) {
  return createTrainingState(config, vectorDataset());
}
