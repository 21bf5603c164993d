// The parameters that a trainer holds on its device, by what they are for: one buffer a network, since recordings bind
// it.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Phase } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { type Networks, networkNamed, wireManifest } from "../../shared/run/networks.ts";
import { blobLayout } from "../../shared/wire/parameter-blob.ts";
import { type ParameterSet, setLayout, setOwner } from "../../shared/wire/parameter-set.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import { frozenBuffer } from "../plan/launch-list.ts";
import { type Externals, storageBuffer } from "../plan/recording.ts";
import { LocalReplica } from "./local-replica.ts";

/** What has a hash of its own; partners lie behind the network's own parameters, in its buffer. */
export type ParameterSlot =
  | { readonly kind: "set"; readonly set: ParameterSet }
  | { readonly kind: "frozen"; readonly network: string };

function nameOf(slot: ParameterSlot): string {
  return slot.kind === "set" ? slot.set : frozenBuffer(slot.network);
}

export class ParameterSlots {
  readonly #cache: PipelineCache;
  readonly #config: RunConfig;
  readonly #networks: Networks;
  /** By the slot's name. */
  readonly #hashes = new Map<string, string>();
  readonly #buffers = new Map<string, GPUBuffer>();
  /** Empty unless the run is `sync: local`. */
  readonly #replicas = new Map<string, LocalReplica>();

  constructor(cache: PipelineCache, config: RunConfig, networks: Networks) {
    this.#cache = cache;
    this.#config = config;
    this.#networks = networks;
  }

  holds(slot: ParameterSlot, hash: string): boolean {
    return this.#hashes.get(nameOf(slot)) === hash;
  }

  /** @throws FRAME_CORRUPT for a blob of another size */
  load(slot: ParameterSlot, hash: string, blob: Uint8Array): void {
    const expected = slot.kind === "set" ? this.#bytes(slot.set) : this.#frozenBytes(slot.network);
    if (blob.length !== expected) {
      throw new BitswarmError(
        "FRAME_CORRUPT",
        `the ${nameOf(slot)} parameters have ${blob.length} bytes; this network wants ${expected}`,
      );
    }
    // A blob's tensors begin at multiples of the binding's alignment, so one blob behind another is the blob of both.
    if (slot.kind === "frozen") this.#write(this.#frozen(slot.network), 0, blob);
    else {
      const owner = setOwner(this.#networks, slot.set);
      const offset = this.#offset(owner, slot.set);
      const replica = this.replica(owner);
      if (replica) replica.load(blob, offset);
      else this.#write(this.#buffer(owner), offset, blob);
    }
    this.#hashes.set(nameOf(slot), hash);
  }

  /** What a plan of the network binds of its parameters. */
  externals({ network, needs }: Pick<Phase, "network" | "needs">): Externals {
    const own = this.replica(network)?.externals ?? { parameters: this.#buffer(network) };
    return { ...own, ...Object.fromEntries(needs.map((name) => [frozenBuffer(name), this.#frozen(name)])) };
  }

  /** The network's replica, where the run takes inner steps. */
  replica(network: string): LocalReplica | undefined {
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

  #frozenBytes(network: string): number {
    return blobLayout(networkNamed(this.#networks, network).manifest).bytes;
  }

  /** Where a set begins in the buffer of its network. */
  #offset(owner: string, set: ParameterSet): number {
    const before = [owner, ...Object.keys(this.#networks[owner].partners)];
    return before.slice(0, before.indexOf(set)).reduce((sum, one) => sum + this.#bytes(one), 0);
  }

  #write(buffer: GPUBuffer, offset: number, blob: Uint8Array): void {
    this.#cache.device.queue.writeBuffer(buffer, offset, Uint8Array.from(blob));
  }

  #buffer(network: string): GPUBuffer {
    return this.#made(network, () => blobLayout(wireManifest(this.#networks, network)).bytes);
  }

  #frozen(network: string): GPUBuffer {
    return this.#made(frozenBuffer(network), () => this.#frozenBytes(network));
  }

  #made(name: string, bytes: () => number): GPUBuffer {
    const known = this.#buffers.get(name);
    if (known) return known;
    const buffer = storageBuffer(this.#cache.device, `${name} parameters`, bytes());
    this.#buffers.set(name, buffer);
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    for (const replica of this.#replicas.values()) replica.destroy();
  }
}
