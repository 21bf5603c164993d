// Latent weights with their companions, as their method sees them: its hooks around fresh weights, a step and the way
// down.

import type { LatentEntries } from "../../shared/model/manifest.ts";
import type { LatentLayer } from "../../shared/model/methods/method.ts";
import type { Network } from "../../shared/run/networks.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { fourAxes } from "./axis-order.ts";

/** The layer of a latent weight; companions that have no values yet are not in it. */
export function latentLayerOf(parameters: Parameters, { weight, companions }: LatentEntries): LatentLayer {
  const values = Object.entries(companions).flatMap(([name, entry]) => {
    const known = parameters.get(entry.name);
    return known ? [[name, known] as const] : [];
  });
  return {
    shape: fourAxes(weight.shape),
    weight: parameter(parameters, weight.name),
    companions: Object.fromEntries(values),
  };
}

/** After an update, or of fresh weights: what the method does to W. */
export function settleLayer({ method }: Network, parameters: Parameters, entries: LatentEntries): void {
  method.rule?.settle?.(latentLayerOf(parameters, entries));
}

/** Values of `derived` companions for W as it is now. */
export function deriveCompanions(
  { method }: Network,
  parameters: Map<string, Float32Array>,
  layers: readonly LatentEntries[],
): void {
  for (const entries of layers) {
    for (const [name, companion] of Object.entries(entries.companions)) {
      if (companion.role !== "derived" || !method.rule) continue;
      parameters.set(companion.name, method.rule.companion(name, latentLayerOf(parameters, entries)));
    }
  }
}
