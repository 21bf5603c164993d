// What a worker sends back for a lease: gradients, batch statistics and metrics in one arena, laid out as its GPU
// buffer is.

import { blockSize } from "../codecs/codec.ts";
import { criticsOf } from "../model/graph.ts";
import { elementCount, type Manifest, type ParameterEntry, type Role, statisticNames } from "../model/manifest.ts";
import { type Phase, trainsEntry } from "../model/phases.ts";
import type { SyncKind } from "../run/config.ts";
import { type Network, type Networks, networkNamed, phaseManifest } from "../run/networks.ts";
import type { MetricRange } from "../tasks/task.ts";

/**
 * What the objective counts beside the task: the critics' loss and the network's against them; 0 where there are none.
 */
const objectiveMetrics = ["discriminator", "adversarial"] as const;
/** Both are logistic losses; distances from another network are no less, either. */
const objectiveRange: MetricRange = { least: 0, most: Number.POSITIVE_INFINITY };
/** An answer of a discriminator is a probability. */
const answerRange: MetricRange = { least: 0, most: 1 };
const anything: MetricRange = { least: Number.NEGATIVE_INFINITY, most: Number.POSITIVE_INFINITY };
export const METRICS = "metrics";

/** Losses of a phase that the metrics have under names of their own, or that are no device's. */
const known: readonly string[] = ["task", "method", "adversarial"];

/** Terms of a phase's objective against another network, in its order: each counts times its weight. */
export function comparedLosses({ losses }: Pick<Phase, "losses">): readonly string[] {
  return losses.map(({ kind }) => kind).filter((kind) => !known.includes(kind));
}

/** What each discriminator answers of the maps that it judges, the teacher's as `real` and the network's as `fake`. */
export function answerNames(graph: Pick<Network["graph"], "maps" | "shapes">): readonly string[] {
  return criticsOf(graph).flatMap(({ name }) => [`real/${name}`, `fake/${name}`]);
}

/** The same of a phase; nothing where it has no discriminators. */
export function phaseAnswers(networks: Networks, { network, losses }: Pick<Phase, "network" | "losses">) {
  return losses.some(({ kind }) => kind === "adversarial") ? answerNames(networkNamed(networks, network).graph) : [];
}

/**
 * Sums over a lease's samples, in this order, in the tensor `metrics`.
 * @param own the task's, beside its loss
 * @param compared the phase's terms against another network
 * @param answers of discriminators
 */
export function metricNames(
  own: readonly string[],
  compared: readonly string[] = [],
  answers: readonly string[] = [],
): readonly string[] {
  return ["task", ...own, ...objectiveMetrics, ...compared, ...answers];
}

/**
 * A gradient or difference with at least so many elements is wide: below it a code would save nothing worth its error.
 */
export const WIDE_ELEMENTS = 1024;

export interface ContributionTensor {
  readonly name: string;
  /** `difference`: how far a lease's inner steps took a parameter, in `sync: local`. */
  readonly kind: "gradient" | "difference" | "statistic" | "metric";
  /** Of the parameter; the metrics have none. */
  readonly role: Role | null;
  /** Elements from the arena's start, a multiple of 64. */
  readonly offset: number;
  readonly size: number;
  /** Coded by f16, int8 and sign; everything else always travels as float32 (wire-layout.ts). */
  readonly wide: boolean;
  /** What a sample's mean can be: of all elements where there is one range, else of each. */
  readonly ranges?: readonly MetricRange[];
}

export interface ContributionLayout {
  readonly tensors: readonly ContributionTensor[];
  /** Elements of the arena, a multiple of 64. */
  readonly size: number;
  /** Tensor index of each block of 64 elements. */
  readonly segments: Uint32Array<ArrayBuffer>;
  /** Names of the numbers in the tensor `metrics`. */
  readonly metrics: readonly string[];
}

/** Weights of convolutions and linear layers, where they are large; never a vector (batch norms, biases, PReLU). */
function isWide({ role, shape }: ParameterEntry): boolean {
  return role !== "statistic" && shape.length >= 2 && elementCount(shape) >= WIDE_ELEMENTS;
}

function takesPart(entry: ParameterEntry, phase: Pick<Phase, "trains">, sync: SyncKind): boolean {
  // What a method learns beside W follows from W's gradient, so it does not travel; a difference follows from nothing.
  if (entry.role === "learned" && entry.measured !== true && sync === "allreduce") return false;
  if (entry.role === "derived" || entry.role === "state") return false;
  return trainsEntry(phase, entry);
}

/**
 * Gradients of the trained parameters, batch mean and unbiased variance for each running statistic (of each batch norm
 * that shares one), then the metrics. In `sync: local` differences of the trained parameters, C among them, the
 * replica's running statistics, and the metrics.
 */
export function contributionLayout(
  manifest: Manifest,
  phase: Pick<Phase, "trains">,
  sync: SyncKind = "allreduce",
  metrics: readonly string[] = metricNames([]),
  ranges: Network["ranges"] = {},
): ContributionLayout {
  const trained = sync === "local" ? "difference" : "gradient";
  const tensors: ContributionTensor[] = [];
  let offset = 0;
  const push = (tensor: Omit<ContributionTensor, "offset">) => {
    tensors.push({ ...tensor, offset });
    offset += Math.ceil(tensor.size / blockSize) * blockSize;
  };
  for (const entry of manifest.entries) {
    if (!takesPart(entry, phase, sync)) continue;
    const { name, role, shape, least } = entry;
    const size = elementCount(shape);
    const bounded = least === undefined ? {} : { ranges: [{ ...anything, least }] };
    if (role !== "statistic") push({ name, kind: trained, role, size, wide: isWide(entry) });
    else
      for (const statistic of statisticNames(entry))
        push({ name: statistic, kind: "statistic", role, size, wide: false, ...bounded });
  }
  const objective = Object.fromEntries(objectiveMetrics.map((name) => [name, objectiveRange]));
  const measured = metrics.map((name) => ranges[name] ?? objective[name] ?? anything);
  push({ name: METRICS, kind: "metric", role: null, size: metrics.length, wide: false, ranges: measured });
  const segments = new Uint32Array(offset / blockSize);
  tensors.forEach((tensor, index) => {
    segments.fill(
      index,
      tensor.offset / blockSize,
      (tensor.offset + Math.ceil(tensor.size / blockSize) * blockSize) / blockSize,
    );
  });
  return { tensors, size: offset, segments, metrics };
}

/** What a round of a phase sends back. */
export function phaseLayout(networks: Networks, phase: Phase, sync: SyncKind = "allreduce"): ContributionLayout {
  const { metrics, ranges } = networkNamed(networks, phase.network);
  const compared = comparedLosses(phase);
  const answers = phaseAnswers(networks, phase);
  const names = metricNames(metrics, compared, answers);
  const atLeast = Object.fromEntries(compared.map((kind) => [kind, objectiveRange]));
  const between = Object.fromEntries(answers.map((name) => [name, answerRange]));
  return contributionLayout(phaseManifest(networks, phase), phase, sync, names, { ...atLeast, ...between, ...ranges });
}
