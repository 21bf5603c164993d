// The bytes that a worker needs to compute one step, laid out as its GPU buffer is: one copy to the device, one hash to
// name them.

import { BitswarmError } from "../base/errors.ts";
import { elementCount, type Manifest, type ParameterEntry, wireOf } from "../model/manifest.ts";
import { packSignPlanes } from "../model/sign-planes.ts";
import { signWords } from "../model/window.ts";
import type { RunConfig } from "../run/config.ts";

/** A buffer binding's offset must be a multiple of this (the guaranteed minStorageBufferOffsetAlignment). */
export const BINDING_ALIGNMENT = 256;

/** How a latent weight travels: its signs, or, where workers take inner steps, its values. */
export type LatentEncoding = "signs" | "f32";

export function latentEncoding({ sync }: Pick<RunConfig, "sync">): LatentEncoding {
  return sync.kind === "local" ? "f32" : "signs";
}

export interface BlobTensor {
  readonly name: string;
  /** `signs`: [out][kh][kw][words] u32 sign planes of a latent weight; `f32`: the values. */
  readonly encoding: "signs" | "f32";
  /** Bytes from the blob's start, a multiple of 256. */
  readonly offset: number;
  readonly bytes: number;
}

export interface BlobLayout {
  readonly tensors: ReadonlyMap<string, BlobTensor>;
  readonly bytes: number;
}

function tensorBytes(entry: ParameterEntry, encoding: BlobTensor["encoding"]): number {
  if (encoding === "f32") return 4 * elementCount(entry.shape);
  const channels = entry.shape[entry.shape.length - 1];
  return 4 * (elementCount(entry.shape) / channels) * signWords(channels);
}

export function blobLayout(manifest: Manifest, latent: LatentEncoding = "signs"): BlobLayout {
  const tensors = new Map<string, BlobTensor>();
  let offset = 0;
  for (const entry of manifest.entries) {
    const encoding = entry.role === "latent" && latent === "f32" ? latent : wireOf(entry);
    if (encoding === "none") continue;
    const bytes = tensorBytes(entry, encoding);
    tensors.set(entry.name, { name: entry.name, encoding, offset, bytes });
    offset = Math.ceil((offset + bytes) / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;
  }
  return { tensors, bytes: offset };
}

/** Parameter values by name, f32 in the manifest's axis order. */
export type Parameters = ReadonlyMap<string, Float32Array>;

/** The value of a parameter that must exist. */
export function parameter(parameters: Parameters, name: string): Float32Array {
  const value = parameters.get(name);
  if (!value) throw new RangeError(`no parameter named ${name}`);
  return value;
}

/** Little-endian bytes of every tensor at its offset; the gaps are zero. */
export function encodeBlob(manifest: Manifest, layout: BlobLayout, parameters: Parameters): Uint8Array<ArrayBuffer> {
  const blob = new Uint8Array(layout.bytes);
  for (const entry of manifest.entries) {
    const tensor = layout.tensors.get(entry.name);
    if (!tensor && entry.wire === "none") continue;
    const value = parameter(parameters, entry.name);
    if (!tensor || value.length !== elementCount(entry.shape)) {
      throw new BitswarmError(
        "CHECKPOINT_CORRUPT",
        `${entry.name} has ${value.length} values where its shape [${entry.shape}] wants ${elementCount(entry.shape)}`,
      );
    }
    if (tensor.encoding === "signs") {
      const channels = entry.shape[entry.shape.length - 1];
      const planes = packSignPlanes(value, value.length / channels, channels);
      new Uint32Array(blob.buffer, tensor.offset, planes.length).set(planes);
    } else {
      new Float32Array(blob.buffer, tensor.offset, value.length).set(value);
    }
  }
  return blob;
}
