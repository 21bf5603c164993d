// From the wire's gradients of binary layers to those of their latent weights and of what is learned beside them, by
// the network's method.

import type { RoundSum } from "../sum/aggregate.ts";
import { latentLayerOf } from "./latent-layers.ts";
import { secondMomentOf } from "./parameter-buffers.ts";
import type { TrainingState } from "./training-state.ts";

export interface LatentStep {
  /** Gradients of W and of `learned` companions by the parameter's name. */
  readonly gradients: ReadonlyMap<string, Float64Array>;
  /** The method's own parts of the objective by name, summed over the layers. */
  readonly losses: Readonly<Record<string, number>>;
}

/** Of the binary layers in the round. Reads, changes nothing. */
export function latentGradientsOf(state: TrainingState, network: string, sum: RoundSum): LatentStep {
  const { method, latent } = state.networks[network];
  const gradients = new Map<string, Float64Array>();
  const losses: Record<string, number> = {};
  for (const entries of latent) {
    const { weight, companions } = entries;
    if (!method.rule || !sum.has(weight.name)) continue;
    const layer = latentLayerOf(state.parameters[network], entries, secondMomentOf(state, network, weight.name));
    const result = method.rule.gradients(layer, sum.mean(weight.name));
    gradients.set(weight.name, result.weight);
    for (const [name, gradient] of Object.entries(result.learned)) gradients.set(companions[name].name, gradient);
    for (const [part, loss] of Object.entries(result.losses)) losses[part] = (losses[part] ?? 0) + loss;
  }
  return { gradients, losses };
}
