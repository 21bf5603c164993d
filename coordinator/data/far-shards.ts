// Shards that another coordinator sends: each fetched over HTTP once, and kept on the disk under its name. Where
// whoever sends them is gone another one soon does.

import type { Clock } from "../../shared/base/clock.ts";
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
  readonly clock: Pick<Clock, "now" | "after">;
}

/** A coordinator that sends nothing for so long is asked again, or whoever leads by then. */
export const SILENT_MS = 4000;
const AGAIN_MS = 500;
/** Nobody is asked any more after so long: volunteers, who wait half a minute, are told before they give up. */
export const GIVE_UP_MS = 20_000;

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
    const { store, address, token, clock } = this.#options;
    const { sha256 } = shard;
    const named = `shard ${sha256.slice(0, 16)}`;
    const until = clock.now() + GIVE_UP_MS;
    for (;;) {
      const base = address();
      if (base === undefined)
        throw new BitswarmError("DATA_MISSING", "no coordinator has said where shards are to be had");
      const url = new URL(`shards/${sha256}`, base);
      url.searchParams.set("token", token());
      const bytes = await this.#read(url, shard.bytes).catch((cause: Error) => {
        if (clock.now() < until) return undefined;
        throw new BitswarmError("DATA_MISSING", `${named} cannot be fetched from ${url.origin}: ${cause.message}`, {
          cause,
        });
      });
      if (bytes) {
        if (bytes.length !== shard.bytes || !this.#isNamed(bytes, shard))
          throw new BitswarmError("DATA_INVALID", `${named} of ${url.origin} has other bytes than its name says`);
        await store.put(bytes, sha256);
        return store.find(shard);
      }
      await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
    }
  }

  /** What is there, as far as it may be long. @throws where nothing comes of it, or comes any more */
  async #read(url: URL, most: number): Promise<Uint8Array> {
    const { clock, fetch } = this.#options;
    const cut = new AbortController();
    const silent = () => cut.abort(new Error(`nothing came for ${SILENT_MS / 1000} s`));
    let cancel = clock.after(SILENT_MS, silent);
    try {
      const answer = await fetch(url, cut.signal);
      if (!answer.ok) throw new Error(`it answers with ${answer.status}`);
      const parts: Uint8Array[] = [];
      let bytes = 0;
      for await (const part of answer.body ?? []) {
        cancel();
        cancel = clock.after(SILENT_MS, silent);
        parts.push(part);
        bytes += part.length;
        if (bytes > most) break;
      }
      return Buffer.concat(parts);
    } finally {
      cancel();
      cut.abort();
    }
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
