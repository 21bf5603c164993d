// The networks and rounds whose whole microbatches are timed.

import type { Dataset } from "../../shared/data/dataset.ts";
import { type Phase, phaseNamed } from "../../shared/model/phases.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { buildNetworks, type Networks } from "../../shared/run/networks.ts";
import { phasesOf } from "../../shared/run/program.ts";
import { syntheticDataset } from "./synthetic.ts";

export interface StepCase {
  readonly name: string;
  readonly networks: Networks;
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly phase: Phase;
  /** Samples of the microbatch. */
  readonly n: number;
}

interface Model {
  readonly name: string;
  readonly n: number;
  readonly side: number;
  readonly channels: number;
  readonly classes: number;
  readonly model: unknown;
}

const lenet: Model = {
  name: "lenet 12-24-96 n 32",
  n: 32,
  side: 28,
  channels: 1,
  classes: 10,
  model: { kind: "lenet", widths: [12, 24, 96] },
};

const resnet: Model = {
  name: "resnet18 32-32-64-128 n 8",
  n: 8,
  side: 32,
  channels: 3,
  classes: 10,
  model: { kind: "resnet", widths: [32, 32, 64, 128] },
};

const imagenet: Model = {
  name: "resnet18 64-128-256-512 at 224 n 1",
  n: 1,
  side: 224,
  channels: 3,
  classes: 1000,
  model: { kind: "resnet", widths: [64, 128, 256, 512], stem: "imagenet" },
};

/** @param gan with discriminators and their teacher, as the method trains; without them for a comparison with peers */
function stepCase(model: Model, name: string, gan: boolean): StepCase {
  const config = parseConfig({
    model: model.model,
    method: { ablation: gan ? "R+G+B" : "R" },
    data: { augment: model.channels === 3 ? "crop-flip" : "none" },
  });
  const shape = { h: model.side, w: model.side, c: model.channels };
  const dataset = syntheticDataset(shape, model.classes, model.n);
  const phase = phaseNamed(phasesOf(config).outline, name);
  return {
    name: `${model.name} ${name}${gan || name !== "student" ? "" : " without discriminators"}`,
    networks: buildNetworks(config, dataset),
    config,
    dataset,
    phase,
    n: model.n,
  };
}

export function stepCases(options: { readonly imagenet: boolean }): readonly StepCase[] {
  return [
    stepCase(lenet, "student", true),
    stepCase(lenet, "student", false),
    stepCase(lenet, "teacher", true),
    stepCase(lenet, "bn", true),
    stepCase(lenet, "evaluate-student", true),
    stepCase(resnet, "student", true),
    stepCase(resnet, "student", false),
    ...(options.imagenet ? [stepCase(imagenet, "student", true), stepCase(imagenet, "student", false)] : []),
  ];
}

/** The networks that peers train too, without and with discriminators. */
export function peerSteps(): readonly { readonly plain: StepCase; readonly gan: StepCase }[] {
  return [lenet, resnet].map((model) => ({
    plain: stepCase(model, "student", false),
    gan: stepCase(model, "student", true),
  }));
}
