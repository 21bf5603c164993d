// What a library has to do to be compared: one binary layer and one training step of a network, on the same data as
// everybody.

import type { Graph } from "../../../shared/model/graph.ts";
import type { Manifest } from "../../../shared/model/manifest.ts";
import type { WindowShape } from "../../../shared/model/window.ts";
import type { Parameters } from "../../../shared/wire/parameter-blob.ts";

/** y = conv(sign x, sign(W) ⊙ C) with zero padding; Bi-Real's surrogate in both gradients. Layouts are ours. */
export interface LayerData {
  readonly shape: WindowShape;
  /** f32 [n][h][w][in] */
  readonly x: Float32Array;
  /** f32 [out][kh][kw][in] */
  readonly w: Float32Array;
  /** f32 [kh][kw] */
  readonly c: Float32Array;
  /** f32 [n][oh][ow][out] */
  readonly dy: Float32Array;
}

/** Results in our layouts: those of x, w and dy. */
export interface LayerResults {
  readonly y: Float32Array;
  readonly dx: Float32Array;
  readonly dw: Float32Array;
}

export interface NetworkData {
  readonly graph: Graph;
  readonly manifest: Manifest;
  readonly parameters: Parameters;
  readonly n: number;
  /** f32 [n][h][w][c] */
  readonly images: Float32Array;
  readonly labels: Uint32Array;
}

export interface NetworkResults {
  readonly loss: number;
  /** ∂L/∂ of each trained parameter, by name, in the manifest's axis order. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

export interface LayerRun {
  /** Resolves when the GPU has finished. */
  readonly forward: () => Promise<void>;
  readonly forwardBackward: () => Promise<void>;
  readonly results: () => Promise<LayerResults>;
  readonly dispose: () => void;
}

export interface NetworkRun {
  /** Forward, task loss, and backward to every trained parameter; resolves when the GPU has finished. */
  readonly step: () => Promise<void>;
  readonly results: () => Promise<NetworkResults>;
  readonly dispose: () => void;
}

export interface Peer {
  readonly name: string;
  /** How the end of the GPU's work is waited for. */
  readonly waits: string;
  readonly layer: (data: LayerData) => Promise<LayerRun>;
  readonly network: (data: NetworkData) => Promise<NetworkRun>;
}

/** The trained parameters, in the manifest's order. */
export function trained(manifest: Manifest): Manifest["entries"] {
  return manifest.entries.filter(({ role }) => role !== "statistic");
}
