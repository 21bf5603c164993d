// From the wire's gradients of binary layers to those of their latent weights and of C, by the network's method.

import type { Manifest } from "../../shared/model/manifest.ts";
import type { LatentGradients } from "../../shared/model/methods/method.ts";
import type { NetworkName } from "../../shared/run/networks.ts";
import { parameter } from "../../shared/wire/parameter-blob.ts";
import type { RoundSum } from "../sum/aggregate.ts";
import { fourAxes } from "./axis-order.ts";
import type { TrainingState } from "./training-state.ts";

export interface LatentStep {
  /** Gradients of W and C by the parameter's name. */
  readonly gradients: ReadonlyMap<string, Float64Array>;
  readonly kernelLoss: number;
}

/** From the wire's gradients of the binary layers in the round to those of W and C. Reads, changes nothing. */
export function latentGradientsOf(
  state: TrainingState,
  network: NetworkName,
  manifest: Manifest,
  sum: RoundSum,
): LatentStep {
  const { latentGradients } = state.networks[network].method;
  const gradients = new Map<string, Float64Array>();
  let kernelLoss = 0;
  for (const entry of manifest.entries) {
    const { initial } = entry;
    if (!latentGradients || initial.kind !== "best-rectifier" || !sum.has(initial.weight)) continue;
    const weight = manifest.entries.find((e) => e.name === initial.weight);
    if (!weight) throw new RangeError(`${entry.name} belongs to ${initial.weight}, which the manifest does not have`);
    const result: LatentGradients = latentGradients({
      shape: fourAxes(weight.shape),
      weight: parameter(state[network], weight.name),
      rectifier: parameter(state[network], entry.name),
      rectifierShape: fourAxes(entry.shape),
      gradient: sum.mean(weight.name),
    });
    gradients.set(weight.name, result.weight);
    gradients.set(entry.name, result.rectifier);
    kernelLoss += result.kernelLoss;
  }
  return { gradients, kernelLoss };
}
