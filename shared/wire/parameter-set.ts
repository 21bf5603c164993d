// What travels down together, under one hash: a network's own parameters, or the discriminators, which only `student` rounds want.

import type { Manifest } from "../model/manifest.ts";
import type { RunConfig } from "../run/config.ts";
import type { Networks } from "../run/networks.ts";
import { type BlobLayout, blobLayout, latentEncoding } from "./parameter-blob.ts";

export const parameterSets = ["teacher", "student", "discriminators"] as const;
export type ParameterSet = (typeof parameterSets)[number];

/** How float32 values travel: as they are, as halves, or (after the first time) as int8 steps towards them (replica.ts). */
export type FloatEncoding = "f32" | "f16" | "int8";

/** How a set is laid out on the GPU, and how its floats travel; sign planes always travel as they are. */
export interface WireForm {
  readonly layout: BlobLayout;
  readonly floats: FloatEncoding;
}

export function setManifest(networks: Networks, set: ParameterSet): Manifest {
  return set === "discriminators" ? networks.discriminators : networks[set].manifest;
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
  const floats = set === "discriminators" ? downlink.discriminators : downlink.tail;
  return { layout: setLayout(networks, config, set), floats };
}

/** Of the teacher once it is trained, which is fetched by its hash. */
export function frozenForm(networks: Networks, { downlink }: Pick<RunConfig, "downlink">): WireForm {
  return { layout: blobLayout(networks.teacher.manifest), floats: downlink.teacher };
}
