// What travels down together, under one hash: a network's own parameters, or one of its partners', which only some
// phases want.

import type { Manifest } from "../model/manifest.ts";
import type { RunConfig } from "../run/config.ts";
import { type Networks, networkNamed } from "../run/networks.ts";
import { type BlobLayout, blobLayout, latentEncoding } from "./parameter-blob.ts";

/** Name of a network or of a partner: the program gives none twice. */
export type ParameterSet = string;

/**
 * How float32 values travel: as they are, as halves, or (after the first time) as int8 steps towards them (replica.ts).
 */
export type FloatEncoding = "f32" | "f16" | "int8";

/** How a set is laid out on the GPU, and how its floats travel; sign planes always travel as they are. */
export interface WireForm {
  readonly layout: BlobLayout;
  readonly floats: FloatEncoding;
}

/** The sets of a run in the order in which frames number them: the networks, then their partners. */
export function parameterSets(networks: Networks): readonly ParameterSet[] {
  return [...Object.keys(networks), ...Object.values(networks).flatMap(({ partners }) => Object.keys(partners))];
}

/** The network that a set belongs to. @throws RangeError for a name that is no set's */
export function setOwner(networks: Networks, set: ParameterSet): string {
  if (Object.hasOwn(networks, set)) return set;
  const owner = Object.keys(networks).find((name) => Object.hasOwn(networks[name].partners, set));
  if (owner === undefined) throw new RangeError(`no parameter set ${set}; there are ${parameterSets(networks)}`);
  return owner;
}

/** Whether a set is a partner's. */
export function isPartner(networks: Networks, set: ParameterSet): boolean {
  return setOwner(networks, set) !== set;
}

/** Whether a set is a partner that is sent as steps towards it, where `downlink.discriminators` is `int8`. */
export function hasReplica(networks: Networks, set: ParameterSet): boolean {
  return isPartner(networks, set) && !isTwin(networks, set);
}

/** Whether a set is a network in full precision that trains beside another. */
function isTwin(networks: Networks, set: ParameterSet): boolean {
  return Object.hasOwn(networkNamed(networks, setOwner(networks, set)).twins, set);
}

export function setManifest(networks: Networks, set: ParameterSet): Manifest {
  const owner = networkNamed(networks, setOwner(networks, set));
  return isPartner(networks, set) ? owner.partners[set] : owner.manifest;
}

/** A set as it lies on the GPU: sign planes of latent weights, or, where workers take inner steps, their values. */
export function setLayout(networks: Networks, config: Pick<RunConfig, "sync">, set: ParameterSet): BlobLayout {
  return blobLayout(setManifest(networks, set), latentEncoding(config));
}

export function wireForm(
  networks: Networks,
  config: Pick<RunConfig, "downlink" | "sync">,
  set: ParameterSet,
): WireForm {
  const { downlink } = config;
  const partners = isTwin(networks, set) ? downlink.teacher : downlink.discriminators;
  const floats = isPartner(networks, set) ? partners : downlink.tail;
  return { layout: setLayout(networks, config, set), floats };
}

/** Of a network that a phase needs and does not train, which is fetched by its hash. */
export function frozenForm(networks: Networks, { downlink }: Pick<RunConfig, "downlink">, network: string): WireForm {
  return { layout: blobLayout(networkNamed(networks, network).manifest), floats: downlink.teacher };
}
