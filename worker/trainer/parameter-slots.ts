// The parameters that a trainer holds on its device, by what they are for: one buffer a network, since recordings bind it.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { type NetworkName, type Networks, wireManifest } from "../../shared/run/networks.ts";
import { blobLayout } from "../../shared/wire/parameter-blob.ts";
import { type ParameterSet, setLayout } from "../../shared/wire/parameter-set.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import { type Externals, storageBuffer } from "../plan/recording.ts";
import { LocalReplica } from "./local-replica.ts";

/** What has a hash of its own; the discriminators lie behind the student's own parameters, in its buffer. */
export type ParameterSlot = ParameterSet | "frozen";

export class ParameterSlots {
  readonly #cache: PipelineCache;
  readonly #config: RunConfig;
  readonly #networks: Networks;
  readonly #hashes = new Map<ParameterSlot, string>();
  readonly #buffers = new Map<NetworkName | "frozen", GPUBuffer>();
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
    const expected = this.#bytes(slot === "frozen" ? "teacher" : slot);
    if (blob.length !== expected) {
      throw new BitswarmError(
        "FRAME_CORRUPT",
        `the ${slot} parameters have ${blob.length} bytes; this network wants ${expected}`,
      );
    }
    // A blob's tensors begin at multiples of the binding's alignment, so one blob behind another is the blob of both.
    const [owner, offset] =
      slot === "discriminators" ? (["student", this.#bytes("student")] as const) : ([slot, 0] as const);
    const replica = owner === "frozen" ? undefined : this.replica(owner);
    if (replica) replica.load(blob, offset);
    else this.#cache.device.queue.writeBuffer(this.#buffer(owner), offset, Uint8Array.from(blob));
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

  #bytes(set: ParameterSet): number {
    return setLayout(this.#networks, this.#config, set).bytes;
  }

  #buffer(owner: NetworkName | "frozen"): GPUBuffer {
    const known = this.#buffers.get(owner);
    if (known) return known;
    const { bytes } = blobLayout(wireManifest(this.#networks, owner === "frozen" ? "teacher" : owner));
    const buffer = storageBuffer(this.#cache.device, `${owner} parameters`, bytes);
    this.#buffers.set(owner, buffer);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    for (const replica of this.#replicas.values()) replica.destroy();
  }
}
