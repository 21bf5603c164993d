// The run that virtual volunteers compute: its configuration and its data set, of which nothing but the sizes is ever
// looked at.

import { type Dataset, LABEL_BYTES, MEDIA_PIXELS, type Shard } from "../../shared/data/dataset.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { MOST_LEASE_MICROBATCHES } from "../../shared/run/config-limits.ts";
import { meanSpeed } from "./profile.ts";
import type { Scenario } from "./scenario.ts";

/** Images of the simulated data: the smallest that the smallest network takes. */
const SIDE = 16;
const CLASSES = 2;

/** The run that a scenario's volunteers compute; `run` in the scenario overrides any field. */
export function virtualRunConfig(scenario: Scenario, seed: number): RunConfig {
  const { volunteers, steps, passes, stepSeconds, microbatch, run, gateways, whole } = scenario;
  const wanted = volunteers * meanSpeed(scenario) * stepSeconds;
  const batch = Math.max(1, Math.round(wanted / microbatch)) * microbatch;
  // The last microbatch of a pass is not a whole one.
  const trainSamples = Math.ceil(steps / passes) * batch - Math.floor(microbatch / 3);
  return parseConfig({
    name: scenario.name,
    seed,
    model: { kind: "lenet", widths: [1, 1, 1] },
    data: { kind: "idx", trainSamples, testSamples: 4 * microbatch },
    batch,
    microbatch,
    method: { ablation: "R" },
    epochs: passes,
    maxWorkers: Math.min(100_000, 2 * volunteers + 16),
    checkpoint: { everySteps: 4 },
    // Who stands for a hundred takes as few leases as may be.
    ...(gateways > 0 && whole > 1 ? { lease: { maxMicrobatches: MOST_LEASE_MICROBATCHES } } : {}),
    ...run,
  });
}

/** Chunks of a simulated shard, where the data set is small enough. */
const SHARD_CHUNKS = 64;
/** Shards of a simulated split: a welcome has all of them. */
const MOST_SHARDS = 1000;

/** Samples of a shard. */
function shardSamples(samples: number, chunk: number): number {
  return chunk === 0 ? samples : chunk * Math.max(SHARD_CHUNKS, Math.ceil(samples / chunk / MOST_SHARDS));
}

/** @param chunk samples of a chunk; 0 for raw shards */
export function virtualDataset({ data }: RunConfig, chunk = 0): Dataset {
  const shape = { h: SIDE, w: SIDE, c: 1 };
  const chunked = { kind: "bytes", media: MEDIA_PIXELS, targetBytes: LABEL_BYTES, chunk } as const;
  const split = (samples: number, digit: string) => ({
    samples,
    // Shards that nobody fetches, announced so small that no volunteer's memory bounds its leases.
    shards: shardsOf(samples, shardSamples(samples, chunk), digit),
  });
  const { trainSamples, testSamples } = data;
  return {
    name: "simulated",
    shape,
    format: chunk > 0 ? chunked : { kind: "raw" },
    classes: CLASSES,
    mean: [0.5],
    std: [0.25],
    train: split(trainSamples, "a"),
    test: split(testSamples, "b"),
  };
}

function shardsOf(samples: number, each: number, digit: string): Shard[] {
  return Array.from({ length: Math.ceil(samples / each) }, (_, i) => ({
    sha256: digit.repeat(56) + i.toString(16).padStart(8, "0"),
    samples: Math.min(each, samples - i * each),
    bytes: 1,
  }));
}
