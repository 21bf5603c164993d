// Which chunks of which shards a worker needs no download for, from memory and from what is kept on the device.

import type { Dataset } from "../../shared/data/dataset.ts";

/** Chunks by their shard's name; a raw shard's is chunk 0. */
export type HeldChunks = ReadonlyMap<string, ReadonlySet<number>>;

const CHUNK_KEY = /^chunks\/([0-9a-f]{64})\/(\d{1,7})$/;
const SHARD_KEY = /^shards\/([0-9a-f]{64})$/;

/** The key under which a chunk is kept. */
export function chunkKey(shard: string, chunk: number): string {
  return `chunks/${shard}/${chunk}`;
}

/** The key under which a shard's index is kept. */
export function indexKey(shard: string): string {
  return `index/${shard}`;
}

/** Counts, for each chunk of a data set, in how many places it is. */
export class ChunkCounter {
  readonly #ours: ReadonlySet<string>;
  readonly #raw: boolean;
  readonly #places = new Map<string, number>();
  readonly #held = new Map<string, Set<number>>();
  readonly #listeners = new Set<() => void>();

  constructor({ format, train, test }: Pick<Dataset, "format" | "train" | "test">) {
    this.#raw = format.kind === "raw";
    this.#ours = new Set([...train.shards, ...test.shards].map(({ sha256 }) => sha256));
  }

  get held(): HeldChunks {
    return this.#held;
  }

  /** Calls after every change of `held` until the result is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Something came to a place, or left it; keys of other things are passed over. */
  count(key: string, here: boolean): void {
    const [, shard, chunk] = (this.#raw ? SHARD_KEY : CHUNK_KEY).exec(key) ?? [];
    if (shard === undefined || !this.#ours.has(shard)) return;
    const before = this.#places.get(key) ?? 0;
    const places = Math.max(0, before + (here ? 1 : -1));
    if (places === 0) this.#places.delete(key);
    else this.#places.set(key, places);
    if (places > 0 === before > 0) return;
    const index = Number(chunk ?? 0);
    const chunks = this.#held.get(shard) ?? new Set();
    if (places > 0) chunks.add(index);
    else chunks.delete(index);
    if (chunks.size > 0) this.#held.set(shard, chunks);
    else this.#held.delete(shard);
    for (const listener of this.#listeners) listener();
  }
}
