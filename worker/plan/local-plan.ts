// Records what `sync: local` adds to a microbatch: the inner optimizer's step on the replica, and, at a lease's end,
// the difference that goes home.

import { addWeighted } from "../../kernels/layers/elementwise.ts";
import { packSigns } from "../../kernels/layers/pack-signs.ts";
import { accumulateExact, accumulateFloat } from "../../kernels/steps/accumulate.ts";
import { adamUpdate } from "../../kernels/steps/adam-update.ts";
import { checksum } from "../../kernels/steps/checksum.ts";
import { copy } from "../../kernels/steps/copy.ts";
import { pseudoGradient, weighted } from "../../kernels/steps/pseudo-gradient.ts";
import { runningStatistic } from "../../kernels/steps/running-statistic.ts";
import { sgdUpdate } from "../../kernels/steps/sgd-update.ts";
import type { PluginOptions } from "../../shared/base/registry.ts";
import type { Accumulation } from "../../shared/codecs/codec.ts";
import {
  elementCount,
  type LatentEntries,
  type Manifest,
  type ParameterEntry,
  type Role,
} from "../../shared/model/manifest.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { type ContributionLayout, METRICS } from "../../shared/wire/contribution.ts";
import { type BlobLayout, blobLayout } from "../../shared/wire/parameter-blob.ts";
import type { DeviceRule } from "./device-rules.ts";
import { RATES, rateIndex, SAMPLES_INDEX, type UpdateGroup } from "./inner-rates.ts";
import { type ExternalBuffer, LaunchList, type Ref } from "./launch-list.ts";
import { updateRuns } from "./update-runs.ts";

/**
 * Bound of a lease's difference in units: the coordinator's own (shared/wire/naive-sum.ts), as nothing is added to it
 * on the device.
 */
const LOCAL_CLIP = 2 ** 30;
/** PyTorch's default; what shared/model/optimizer.ts has. */
const ADAM_EPSILON = 1e-8;

/**
 * Where a network's replica is: values in `parameters`, laid out as its blob, and the latent weights' signs beside
 * them.
 */
export interface ReplicaLayout {
  readonly manifest: Manifest;
  readonly blob: BlobLayout;
  readonly signs: BlobLayout;
}

/** @param manifest the network's wire manifest */
export function replicaLayout(manifest: Manifest): ReplicaLayout {
  const latent = { entries: manifest.entries.filter(({ role }) => role === "latent") };
  return { manifest, blob: blobLayout(manifest, "f32"), signs: blobLayout(latent) };
}

function refIn(buffer: ExternalBuffer, layout: BlobLayout, name: string): Ref {
  const tensor = layout.tensors.get(name);
  if (!tensor) throw new RangeError(`no parameter named ${name}`);
  return { kind: "external", buffer, offset: tensor.offset, bytes: tensor.bytes };
}

/** A parameter as kernels read it: sign planes of a latent weight, else its values. */
export function replicaRefs({ blob, signs }: ReplicaLayout): (name: string) => Ref {
  return (name) => (signs.tensors.has(name) ? refIn("signs", signs, name) : refIn("parameters", blob, name));
}

function range(buffer: ExternalBuffer, offset: number, elements: number): Ref {
  return { kind: "external", buffer, offset: 4 * offset, bytes: 4 * elements };
}

const rates = range("rates", 0, RATES);

function tallyRef({ metrics }: ContributionLayout): Ref {
  return range("tally", 0, metrics.length);
}

function arenaRef(layout: ContributionLayout, name: string): Ref | undefined {
  const tensor = layout.tensors.find((t) => t.name === name);
  return tensor && range("gradient", tensor.offset, tensor.size);
}

function metricsRef(layout: ContributionLayout): Ref {
  const metrics = arenaRef(layout, METRICS);
  if (!metrics) throw new RangeError("the contribution has no metrics");
  return metrics;
}

/** Packs the signs of every latent weight anew. */
function recordSigns(list: LaunchList, { manifest, blob, signs }: ReplicaLayout): void {
  for (const { name, shape } of manifest.entries) {
    if (!signs.tensors.has(name)) continue;
    const channels = shape[shape.length - 1];
    const rows = elementCount(shape) / channels;
    list.run(packSigns({ rows, channels, how: list.packing }), {
      x: refIn("parameters", blob, name),
      bits: refIn("signs", signs, name),
    });
  }
}

/**
 * The launches that follow the arrival of the parameters in the replica: signs, and the sums that tell whether it is
 * what was sent.
 */
export function replicaStart(replica: ReplicaLayout): LaunchList {
  const list = new LaunchList();
  const words = replica.blob.bytes / 4;
  list.run(checksum({ words }), { data: range("parameters", 0, words), sums: range("checksum", 0, 2) });
  recordSigns(list, replica);
  return list;
}

/** What steps a network's latent weights on the device. */
export interface LatentRecording {
  readonly rule: DeviceRule;
  /** The method's. */
  readonly options: PluginOptions;
  readonly layers: readonly LatentEntries[];
}

/**
 * ∂L/∂W̃ of each binary layer in the arena becomes ∂L/∂W, and the gradients of what is learned beside W are put there,
 * too.
 */
function recordLatentGradients(
  list: LaunchList,
  { blob }: ReplicaLayout,
  layout: ContributionLayout,
  { rule, options, layers }: LatentRecording,
): void {
  for (const { weight, companions } of layers) {
    const gradient = arenaRef(layout, weight.name);
    if (!gradient) continue;
    const named = (name: string): ParameterEntry => {
      const entry = companions[name];
      if (!entry) throw new RangeError(`${weight.name} has no companion named ${name}`);
      return entry;
    };
    const [out, kernel, , input] = weight.shape;
    rule.recordGradients(
      list,
      {
        out,
        kernel,
        in: input,
        gradient,
        weight: refIn("parameters", blob, weight.name),
        companion: (name) => refIn("parameters", blob, named(name).name),
        companionGradient: (name) => {
          const ref = arenaRef(layout, named(name).name);
          if (!ref) throw new RangeError(`the contribution has no tensor named ${named(name).name}`);
          return ref;
        },
      },
      options,
    );
  }
}

const groupOf: Readonly<Record<Role, UpdateGroup | "statistic" | undefined>> = {
  latent: "latent",
  learned: "learned",
  float: "float",
  critic: "critic",
  statistic: "statistic",
  derived: undefined,
  state: undefined,
};

export type InnerConfig = Pick<RunConfig, "sync" | "optimizer" | "adversarial">;

/**
 * One inner step from the gradients, batch statistics and metrics of a microbatch of n in the arena: latent gradients,
 * every parameter's update, running statistics, the lease's tally of metrics, and the new signs.
 * @param latent none for a network without latent weights
 */
export function recordInnerStep(
  list: LaunchList,
  replica: ReplicaLayout,
  layout: ContributionLayout,
  n: number,
  config: InnerConfig,
  latent: LatentRecording | undefined,
): void {
  const { sync, optimizer, adversarial } = config;
  list.run(addWeighted({ size: layout.metrics.length, weight: n }), { x: metricsRef(layout), y: tallyRef(layout) });
  if (latent) recordLatentGradients(list, replica, layout, latent);
  const decays = { float: optimizer.weightDecay, latent: optimizer.latentWeightDecay, learned: 0 };
  for (const run of updateRuns(replica.manifest, replica.blob, layout, (role) => groupOf[role])) {
    const { group, elements: size } = run;
    const parameter = range("parameters", run.replica, size);
    const gradient = range("gradient", run.arena, size);
    if (group === "statistic") {
      list.run(runningStatistic({ size }), { running: parameter, batch: gradient });
      continue;
    }
    const refs = { parameter, gradient, rates };
    const first = range("moments", run.arena, size);
    const bound = group === "latent" ? latent?.rule.bound : undefined;
    const bounded = bound === undefined ? {} : { bound };
    const adamBetas = (): readonly [number, number] | undefined => {
      if (group === "critic") return [adversarial.beta1, adversarial.beta2];
      if (sync.kind === "local" && sync.inner.kind === "adamw") return [sync.inner.beta1, sync.inner.beta2];
      return undefined;
    };
    const betas = adamBetas();
    if (betas) {
      const second = range("variances", run.arena, size);
      const kernel = adamUpdate({ size, betas, epsilon: ADAM_EPSILON, at: rateIndex(group), ...bounded });
      list.run(kernel, { ...refs, first, second });
    } else if (group !== "critic") {
      const { momentum } = optimizer;
      const kernel = sgdUpdate({ size, momentum, weightDecay: decays[group], rate: rateIndex(group), ...bounded });
      list.run(kernel, { ...refs, momentum: first });
    }
  }
  recordSigns(list, replica);
}

/**
 * The launches at a lease's end: differences times samples, running statistics times samples and the tally, in the
 * lease's sum.
 */
export function leaseDifference(replica: ReplicaLayout, layout: ContributionLayout, how: Accumulation): LaunchList {
  const list = new LaunchList();
  for (const run of updateRuns(replica.manifest, replica.blob, layout, (role) => role === "statistic")) {
    const { elements: size } = run;
    const local = range("parameters", run.replica, size);
    const delta = range("gradient", run.arena, size);
    if (run.group) list.run(weighted({ size, weight: SAMPLES_INDEX }), { x: local, rates, y: delta });
    else {
      const origin = range("origin", run.replica, size);
      list.run(pseudoGradient({ size, weight: SAMPLES_INDEX }), { origin, replica: local, rates, delta });
    }
  }
  list.run(copy({ size: layout.metrics.length }), { x: tallyRef(layout), y: metricsRef(layout) });
  const { size, tensors, segments } = layout;
  const refs = {
    gradient: range("gradient", 0, size),
    segments: range("segments", 0, segments.length),
    sum: range("sum", 0, size),
    peak: range("peaks", 0, tensors.length),
  };
  if (how === "float") list.run(accumulateFloat({ size, weight: 1 }), refs);
  else {
    const scale = range("scales", 0, tensors.length);
    list.run(accumulateExact({ size, weight: 1, clip: LOCAL_CLIP }), { ...refs, scale });
  }
  return list;
}
