// Shards that another coordinator sends: each fetched over HTTP once, and kept on the disk under its name.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Dataset, Shard } from "../../shared/data/dataset.ts";
import { indexBytes, readIndex } from "../../shared/data/shard-layout.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { StoredBytes } from "../disk/stored-file.ts";
import type { ShardStore } from "./shard-store.ts";

export interface FarShardsOptions {
  readonly dataset: Dataset;
  readonly store: ShardStore;
  /** Where they are to be had now, and by which token. */
  readonly address: () => string | undefined;
  readonly token: () => string;
  readonly fetch: (url: URL, signal: AbortSignal) => Promise<Response>;
}

/** A coordinator that has sent nothing for so long will not. */
const FETCH_MS = 60_000;

export class FarShards {
  readonly #options: FarShardsOptions;
  readonly #known = new Map<string, Shard>();
  readonly #coming = new Map<string, Promise<StoredBytes | undefined>>();

  constructor(options: FarShardsOptions) {
    this.#options = options;
    const { train, test } = options.dataset;
    for (const shard of [...train.shards, ...test.shards]) this.#known.set(shard.sha256, shard);
  }

  /** A shard by its SHA-256; undefined for any other name. @throws DATA_MISSING, DATA_INVALID, STORAGE_FAILED */
  async shard(sha256: string): Promise<StoredBytes | undefined> {
    const known = this.#known.get(sha256);
    if (!known) return undefined;
    const found = await this.#options.store.find(known);
    if (found) return found;
    const coming = this.#coming.get(sha256) ?? this.#fetch(known);
    this.#coming.set(sha256, coming);
    return coming.finally(() => this.#coming.delete(sha256));
  }

  async #fetch(shard: Shard): Promise<StoredBytes | undefined> {
    const { store, address, token, fetch } = this.#options;
    const { sha256 } = shard;
    const base = address();
    if (base === undefined)
      throw new BitswarmError("DATA_MISSING", "no coordinator has said where shards are to be had");
    const url = new URL(`shards/${sha256}`, base);
    url.searchParams.set("token", token());
    let bytes: Uint8Array;
    try {
      const answer = await fetch(url, AbortSignal.timeout(FETCH_MS));
      if (!answer.ok) throw new Error(`it answers with ${answer.status}`);
      bytes = new Uint8Array(await answer.arrayBuffer());
    } catch (cause) {
      const why = (cause as Error).message;
      throw new BitswarmError(
        "DATA_MISSING",
        `shard ${sha256.slice(0, 16)} cannot be fetched from ${url.origin}: ${why}`,
        { cause },
      );
    }
    if (bytes.length !== shard.bytes || !this.#isNamed(bytes, shard)) {
      throw new BitswarmError(
        "DATA_INVALID",
        `shard ${sha256.slice(0, 16)} of ${url.origin} has other bytes than its name says`,
      );
    }
    await store.put(bytes, sha256);
    return store.find(shard);
  }

  /** A shard of chunks is named by its index, which has the hash of each. */
  #isNamed(bytes: Uint8Array, { sha256, samples }: Shard): boolean {
    if (contentHash(bytes) === sha256) return true;
    const { format } = this.#options.dataset;
    if (format.kind === "raw") return false;
    const head = bytes.subarray(0, indexBytes(format, samples));
    if (contentHash(head) !== sha256) return false;
    const index = readIndex(format, { samples, bytes: bytes.length }, head, sha256);
    for (let i = 0; i < index.chunks; i++) {
      const { begin, end, sha256: name } = index.chunk(i);
      if (contentHash(bytes.subarray(begin, end)) !== name) return false;
    }
    return true;
  }
}
