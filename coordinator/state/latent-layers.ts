// Latent weights with their companions, as their method sees them: its hooks around fresh weights, a step and the way
// down.

import type { LatentEntries } from "../../shared/model/manifest.ts";
import type { LatentLayer } from "../../shared/model/methods/method.ts";
import type { Network } from "../../shared/run/networks.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";
import { fourAxes } from "./axis-order.ts";

/**
 * The layer of a latent weight; companions that have no values yet are not in it.
 * @param secondMoment Adam's of W, where it has one
 */
export function latentLayerOf(
  parameters: Parameters,
  { weight, companions }: LatentEntries,
  secondMoment?: Float32Array,
): LatentLayer {
  const values = Object.entries(companions).flatMap(([name, entry]) => {
    const known = parameters.get(entry.name);
    return known ? [[name, known] as const] : [];
  });
  return {
    shape: fourAxes(weight.shape),
    weight: parameter(parameters, weight.name),
    companions: Object.fromEntries(values),
    ...(secondMoment && { secondMoment }),
  };
}

/** After an update, or of fresh weights: what the method does to W. @param previous W before the update */
export function settleLayer(
  { method }: Network,
  parameters: Parameters,
  entries: LatentEntries,
  previous: Float32Array = parameter(parameters, entries.weight.name),
): void {
  method.rule?.settle?.(latentLayerOf(parameters, entries), previous);
}

/** Companions that are not there yet, but those that follow from W; they may read it. */
export function makeCompanions(
  { method: { rule } }: Network,
  parameters: Map<string, Float32Array>,
  entries: LatentEntries,
): void {
  for (const [name, companion] of Object.entries(entries.companions)) {
    if (companion.role === "derived" || !rule || parameters.has(companion.name)) continue;
    parameters.set(companion.name, rule.companion(name, latentLayerOf(parameters, entries)));
  }
}

/** Adam's second moment of a latent weight, where it has one. */
export type SecondMoment = (weight: string) => Float32Array | undefined;

/** Values of `derived` companions for W as it is now. */
export function deriveCompanions(
  { method }: Network,
  parameters: Map<string, Float32Array>,
  layers: readonly LatentEntries[],
  secondMoment: SecondMoment = () => undefined,
): void {
  for (const entries of layers) {
    for (const [name, companion] of Object.entries(entries.companions)) {
      if (companion.role !== "derived" || !method.rule) continue;
      const layer = latentLayerOf(parameters, entries, secondMoment(entries.weight.name));
      parameters.set(companion.name, method.rule.companion(name, layer));
    }
  }
}
