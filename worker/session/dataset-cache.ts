// Holds the shards that a worker computes with: verified, one download each however many ask, the least recently used
// dropped first.

import type { Shard } from "../../shared/data/dataset.ts";
import type { HeldShards } from "../trainer/sample-decoder.ts";
import { type Content, type ContentOrigin, fetchContent } from "./content-fetch.ts";

/** Bytes of shards kept in memory. Fashion-MNIST whole is 52 MiB; Cache storage or the coordinator has the rest. */
export const MEMORY_CAP_BYTES = 512 * 2 ** 20;
/** Downloads at a time: enough to fill a link, few enough not to starve the coordinator's sockets. */
const PARALLEL = 4;

export class DatasetCache {
  readonly #origin: ContentOrigin;
  readonly #capBytes: number;
  /** In order of use, the oldest first. */
  readonly #held = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly #pending = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  readonly #closing = new AbortController();
  #bytes = 0;

  constructor(origin: ContentOrigin, capBytes: number = MEMORY_CAP_BYTES) {
    this.#origin = origin;
    this.#capBytes = capBytes;
  }

  /** Bytes in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The bytes of all these shards, fetched where they are not held. The caller's map keeps them alive, even those over
   * the cap.
   * @throws as fetchContent
   */
  async hold(shards: readonly Shard[]): Promise<HeldShards> {
    const wanted = new Map<string, Uint8Array>();
    const queue = [...shards];
    const worker = async () => {
      for (let shard = queue.shift(); shard; shard = queue.shift()) {
        const { sha256, bytes } = shard;
        wanted.set(sha256, await this.#get({ folder: "shards", sha256, bytes }));
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL, shards.length) }, worker));
    return wanted;
  }

  /** A frozen network's parameters. @throws as fetchContent */
  blob(sha256: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#get({ folder: "blobs", sha256 });
  }

  /** Ends downloads that are under way and lets go of everything. */
  close(): void {
    this.#closing.abort();
    this.#held.clear();
    this.#bytes = 0;
  }

  #get(content: Content): Promise<Uint8Array<ArrayBuffer>> {
    const { sha256 } = content;
    const held = this.#held.get(sha256);
    if (held) {
      this.#held.delete(sha256);
      this.#held.set(sha256, held);
      return Promise.resolve(held);
    }
    const pending = this.#pending.get(sha256);
    if (pending) return pending;
    const fetched = fetchContent(content, this.#origin, this.#closing.signal)
      .then((bytes) => this.#keep(sha256, bytes))
      .finally(() => this.#pending.delete(sha256));
    this.#pending.set(sha256, fetched);
    return fetched;
  }

  #keep(sha256: string, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    if (this.#closing.signal.aborted) return bytes;
    this.#held.set(sha256, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, dropped] of this.#held) {
      if (this.#bytes <= this.#capBytes) break;
      this.#held.delete(oldest);
      this.#bytes -= dropped.length;
    }
    return bytes;
  }
}
