// The networks and rounds whose whole microbatches are timed.

import type { Dataset } from "../../shared/data/dataset.ts";
import { type Phase, phaseNamed } from "../../shared/model/phases.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { buildNetworks, type Networks } from "../../shared/run/networks.ts";
import { phasesOf } from "../../shared/run/program.ts";
import type { MicrobatchInput } from "../../shared/samples/microbatch.ts";
import { pairInputs } from "../../shared/tasks/clip-pairs.ts";
import { siamfcSchema } from "../../shared/tasks/siamfc.ts";
import { clipDataset, noise, syntheticDataset } from "./synthetic.ts";

export interface StepCase {
  readonly name: string;
  readonly networks: Networks;
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly phase: Phase;
  /** Samples of the microbatch. */
  readonly n: number;
  /** The microbatch itself, where what decodes it is not measured. */
  readonly decoded?: MicrobatchInput;
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

/** The last phase that trains the network that a run is for, by a method alone: against no other network. */
function methodCase(model: Model, kind: string): StepCase {
  const config = parseConfig({
    model: model.model,
    method: { kind, ...(kind === "rbcn" ? { ablation: "R" } : {}) },
    objective: { kind: "none" },
    tuneNorms: "off",
    // INQ has five stages; LAB is of Adam's second moment alone.
    epochs: 5,
    ...(kind === "lab" ? { optimizer: { latent: { kind: "adam" } } } : {}),
  });
  const shape = { h: model.side, w: model.side, c: model.channels };
  const dataset = syntheticDataset(shape, model.classes, model.n);
  const { outline } = phasesOf(config);
  const phase = outline.phases.findLast(({ network, evaluate }) => network === outline.primary && !evaluate);
  if (!phase) throw new RangeError(`${kind} trains no ${outline.primary}`);
  return {
    name: `${model.name} ${kind}`,
    networks: buildNetworks(config, dataset, outline),
    config,
    dataset,
    phase,
    n: model.n,
  };
}

/** A method's step, with those that it is measured against: full precision, then RBCN. */
export interface MethodSteps {
  readonly name: string;
  readonly own: StepCase;
  readonly full: StepCase;
  readonly rbcn: StepCase;
}

/** @param kind of the table of methods */
export function methodSteps(kind: string): readonly MethodSteps[] {
  return [lenet, resnet].map((model) => ({
    name: `${model.name} ${kind}`,
    own: methodCase(model, kind),
    full: methodCase(model, "full"),
    rbcn: methodCase(model, "rbcn"),
  }));
}

/** Pairs of a tracker: SiamFC's own widths, and those that two cores train. */
const TRACKERS = [
  { name: "siamfc 16-32-48-48-32 n 8", n: 8, widths: [16, 32, 48, 48, 32], large: false },
  { name: "siamfc 96-256-384-384-256 n 2", n: 2, widths: [96, 256, 384, 384, 256], large: true },
] as const;

/** A microbatch of pairs, which are noise, of the phase that trains the method's network. */
function trackerCase(
  name: string,
  { n, widths }: (typeof TRACKERS)[number],
  kind: "rbcn" | "xnor" | "full",
  gan: boolean,
): StepCase {
  const config = parseConfig({
    task: { kind: "siamfc" },
    model: { kind: "siamfc", widths },
    method: { kind, ...(kind === "rbcn" && { ablation: gan ? "R+G+B" : "R" }) },
    ...(gan ? {} : { objective: { kind: "none" }, tuneNorms: "off" }),
  });
  const dataset = clipDataset(n);
  const { outline } = phasesOf(config);
  return {
    name,
    networks: buildNetworks(config, dataset, outline),
    config,
    dataset,
    phase: phaseNamed(outline, "student"),
    n,
    decoded: noise(pairInputs(siamfcSchema.parse(config.task), dataset), n),
  };
}

/** What a tracker's networks train by, and whether against discriminators. */
const TRACKER_METHODS = [
  ["full", false],
  ["xnor", false],
  ["rbcn", false],
  ["rbcn", true],
] as const;

/** @param large SiamFC's own widths too */
export function trackerSteps(o: {
  readonly large: boolean;
  /** By name; all unless given. */
  readonly selects?: (name: string) => boolean;
}): readonly StepCase[] {
  return TRACKERS.filter((tracker) => o.large || !tracker.large).flatMap((tracker) =>
    TRACKER_METHODS.flatMap(([kind, gan]) => {
      const name = `${tracker.name} ${kind} student${gan ? " with discriminators" : ""}`;
      return (o.selects?.(name) ?? true) ? [trackerCase(name, tracker, kind, gan)] : [];
    }),
  );
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
    ...trackerSteps({ large: options.imagenet }),
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
