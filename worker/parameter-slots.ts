// The parameters that a trainer holds on its device, by what they are for: one buffer each, since recordings bind it.

import type { RunConfig } from "../shared/config.ts";
import { BitswarmError } from "../shared/errors.ts";
import { type NetworkName, type Networks, wireManifest } from "../shared/networks.ts";
import { blobLayout } from "../shared/parameter-blob.ts";
import { LocalReplica } from "./local-replica.ts";
import type { PipelineCache } from "./pipeline-cache.ts";
import { type Externals, storageBuffer } from "./recording.ts";

/** A network in training or evaluation, or the frozen teacher. */
export type ParameterSlot = NetworkName | "frozen";

export class ParameterSlots {
  readonly #cache: PipelineCache;
  readonly #config: RunConfig;
  readonly #networks: Networks;
  readonly #hashes = new Map<ParameterSlot, string>();
  readonly #buffers = new Map<ParameterSlot, GPUBuffer>();
  /** Empty unless the run is `sync: local`. */
  readonly #replicas = new Map<NetworkName, LocalReplica>();

  constructor(cache: PipelineCache, config: RunConfig, networks: Networks) {
    this.#cache = cache;
    this.#config = config;
    this.#networks = networks;
  }

  holds(slot: ParameterSlot, hash: string): boolean {
    return this.#hashes.get(slot) === hash;
  }

  /** @throws FRAME_CORRUPT for a blob of another size */
  load(slot: ParameterSlot, hash: string, blob: Uint8Array): void {
    const replica = slot === "frozen" ? undefined : this.replica(slot);
    const expected = replica?.bytes ?? this.#bytes(slot);
    if (blob.length !== expected) {
      throw new BitswarmError(
        "FRAME_CORRUPT",
        `the ${slot} parameters have ${blob.length} bytes; this network wants ${expected}`,
      );
    }
    if (replica) replica.load(blob);
    else this.#cache.device.queue.writeBuffer(this.#buffer(slot), 0, Uint8Array.from(blob));
    this.#hashes.set(slot, hash);
  }

  /** What a plan of the network binds of its parameters. */
  externals(network: NetworkName): Externals {
    return this.replica(network)?.externals ?? { parameters: this.#buffer(network) };
  }

  /** The frozen teacher, as a plan binds it. */
  get teacher(): GPUBuffer {
    return this.#buffer("frozen");
  }

  /** The network's replica, where the run takes inner steps. */
  replica(network: NetworkName): LocalReplica | undefined {
    if (this.#config.sync.kind !== "local") return undefined;
    const known = this.#replicas.get(network);
    if (known) return known;
    const replica = new LocalReplica(this.#cache, this.#config, this.#networks, network);
    this.#replicas.set(network, replica);
    return replica;
  }

  #bytes(slot: ParameterSlot): number {
    const manifest = slot === "frozen" ? this.#networks.teacher.manifest : wireManifest(this.#networks, slot);
    return blobLayout(manifest).bytes;
  }

  #buffer(slot: ParameterSlot): GPUBuffer {
    const known = this.#buffers.get(slot);
    if (known) return known;
    const buffer = storageBuffer(this.#cache.device, `${slot} parameters`, this.#bytes(slot));
    this.#buffers.set(slot, buffer);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    for (const replica of this.#replicas.values()) replica.destroy();
  }
}
