// The step of `sync: local` (DiLoCo, Douillard et al. 2023): Nesterov's momentum on the mean difference of the workers'
// replicas.

import type { ParameterEntry } from "../../shared/model/manifest.ts";
import { sgdStep } from "../../shared/model/optimizer.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { parameter } from "../../shared/wire/parameter-blob.ts";
import type { RoundSum } from "../sum/aggregate.ts";
import { euclidean, type GradientNorms } from "./layer-numbers.ts";
import { bufferName, bufferOf } from "./parameter-buffers.ts";
import type { TrainingState } from "./training-state.ts";

export type OuterOptions = Extract<RunConfig["sync"], { kind: "local" }>["outer"];

/**
 * With Δ the mean over samples of θ − θ_replica: m ← μm + Δ, θ ← θ − rate·(Δ + μm). Running statistics become the mean
 * of the replicas'. The discriminators' differences are of Adam's inner steps, and treated alike.
 * @param entries of the network's wire manifest that the sum has
 * @param norms takes those of the differences
 */
export function outerStep(
  state: TrainingState,
  network: string,
  entries: readonly ParameterEntry[],
  sum: RoundSum,
  { learningRate, momentum }: OuterOptions,
  norms?: GradientNorms,
): void {
  for (const { name, role } of entries) {
    const value = parameter(state.parameters[network], name);
    const mean = sum.mean(name);
    norms?.set(name, euclidean(mean));
    if (role === "statistic") {
      value.set(mean);
      continue;
    }
    const buffer = bufferOf(state.momentum, bufferName(state.program, network, name), value);
    sgdStep(value, mean, buffer, { learningRate, momentum, weightDecay: 0, nesterov: true });
  }
}
