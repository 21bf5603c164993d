// What a volunteer fetches to compute a phase, told before anything travels: from the forms of what goes down.

import { elementCount } from "../model/manifest.ts";
import type { Phase } from "../model/phases.ts";
import type { RunConfig } from "../run/config.ts";
import { type Networks, networkNamed } from "../run/networks.ts";
import { type FloatEncoding, frozenForm, type WireForm, wireForm } from "./parameter-set.ts";
import { wholeBytes } from "./parameter-update.ts";

export interface DownlinkBytes {
  /** Of the weights that the network's method makes, on average: signs are a bit each; 32 where it makes none. */
  readonly bitsPerWeight: number;
  /** Of everything that the phase computes with: its network, what travels beside it, and the networks it needs. */
  readonly wholeBytes: number;
}

/** Bits of a float on its first way down. */
const floatBits: Readonly<Record<FloatEncoding, number>> = { f32: 32, f16: 16, int8: 32 };

export function downlinkBytes(
  networks: Networks,
  config: Pick<RunConfig, "downlink" | "sync">,
  { network, partners, needs }: Pick<Phase, "network" | "partners" | "needs">,
): DownlinkBytes {
  const sent = [network, ...partners].map((set) => wireForm(networks, config, set));
  const frozen = needs.map((name) => frozenForm(networks, config, name));
  return {
    bitsPerWeight: bitsPerWeight(networks, network, sent[0]!),
    wholeBytes: [...sent, ...frozen].reduce((sum, form) => sum + wholeBytes(form), 0),
  };
}

function bitsPerWeight(networks: Networks, network: string, { layout, floats }: WireForm): number {
  let bits = 0;
  let weights = 0;
  for (const { weight, companions } of networkNamed(networks, network).latent) {
    weights += elementCount(weight.shape);
    // Scales are few: what they take is in the bytes, and no part of a weight's bits.
    const planes = Object.values(companions).filter(({ wire }) => wire === "signs");
    for (const { name, shape } of [weight, ...planes]) {
      const encoding = layout.tensors.get(name)?.encoding;
      if (encoding) bits += elementCount(shape) * (encoding === "signs" ? 1 : floatBits[floats]);
    }
  }
  return weights === 0 ? floatBits[floats] : bits / weights;
}
