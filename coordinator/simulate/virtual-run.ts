// The run that virtual volunteers compute: its configuration and its data set, of which nothing but the sizes is ever
// looked at.

import type { Dataset } from "../../shared/data/dataset.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { meanSpeed } from "./profile.ts";
import type { Scenario } from "./scenario.ts";

/** Images of the simulated data: the smallest that the smallest network takes. */
const SIDE = 16;
const CLASSES = 2;

/** The run that a scenario's volunteers compute; `run` in the scenario overrides any field. */
export function virtualRunConfig(scenario: Scenario, seed: number): RunConfig {
  const { volunteers, steps, passes, stepSeconds, microbatch, run } = scenario;
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
    ...run,
  });
}

export function virtualDataset({ data }: RunConfig): Dataset {
  const shape = { h: SIDE, w: SIDE, c: 1 };
  const split = (samples: number, digit: string) => ({
    samples,
    // One shard that nobody fetches, announced so small that no volunteer's memory bounds its leases.
    shards: [{ sha256: digit.repeat(64), samples, bytes: 1 }],
  });
  const { trainSamples, testSamples } = data;
  return {
    name: "simulated",
    shape,
    format: { kind: "raw" },
    classes: CLASSES,
    mean: [0.5],
    std: [0.25],
    train: split(trainSamples, "a"),
    test: split(testSamples, "b"),
  };
}
