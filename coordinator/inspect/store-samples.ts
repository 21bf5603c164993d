// The samples of a store, each from a chunk that hashes to what the shard's index says.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Shard } from "../../shared/data/dataset.ts";
import { readChunk, type SampleBytes, type ShardIndex, samplesOfChunk } from "../../shared/data/shard-layout.ts";
import { contentHash } from "../disk/content-hash.ts";
import { type StoreManifest, type StoreSplit, storeFormat } from "../store/manifest.ts";
import { type StoreReader, shardIndex } from "../store/store-reader.ts";

/** Where a chunk lies, for messages. */
export function chunkName(split: StoreSplit, shard: Shard, chunk: number, first: number, samples: number): string {
  const range = samples === 1 ? `sample ${first}` : `samples ${first}–${first + samples - 1}`;
  return `${split}: chunk ${chunk} of shard ${shard.sha256} (${range})`;
}

/**
 * Chunk `index` of a shard, opened.
 * @param first sample of the shard in its split
 * @throws DATA_INVALID naming chunk and samples, and what reading throws
 */
export async function verifiedChunk(
  store: StoreReader,
  manifest: StoreManifest,
  split: StoreSplit,
  { shard, first, index }: { readonly shard: Shard; readonly first: number; readonly index: ShardIndex },
  chunk: number,
): Promise<readonly SampleBytes[]> {
  const format = storeFormat(manifest);
  const samples = samplesOfChunk(format, shard.samples, chunk);
  const name = chunkName(split, shard, chunk, first + chunk * format.chunk, samples);
  const { begin, end, sha256 } = index.chunk(chunk);
  const bytes = await store.range(shard, begin, end);
  const found = contentHash(bytes);
  if (found !== sha256) {
    throw new BitswarmError("DATA_INVALID", `${name} hashes to ${found}, its shard's index says ${sha256}`);
  }
  const rows = readChunk(format, bytes, samples, name);
  return Array.from({ length: samples }, (_, row) => rows(row));
}

/** The split of that name: val, validation and test all name what is held out. @throws CONFIG_INVALID */
export function splitNamed({ splits }: StoreManifest, name: string, where: string): StoreSplit {
  const heldOut: readonly StoreSplit[] = name === "test" ? ["test", "val"] : ["val", "test"];
  const wanted: readonly StoreSplit[] =
    name === "train" ? ["train"] : ["val", "validation", "test"].includes(name) ? heldOut : [];
  const found = wanted.find((split) => splits[split]);
  if (found) return found;
  const there = Object.keys(splits).join(", ");
  throw new BitswarmError("CONFIG_INVALID", `${where} has no split named ${JSON.stringify(name)}; there are ${there}`);
}

/** Reads single samples, and keeps the indices of the shards that it read them from. */
export class SampleReader {
  readonly #store: StoreReader;
  readonly #manifest: StoreManifest;
  readonly #indices = new Map<string, ShardIndex>();

  constructor(store: StoreReader, manifest: StoreManifest) {
    this.#store = store;
    this.#manifest = manifest;
  }

  /** @throws CONFIG_INVALID for a sample that there is not, DATA_INVALID, DATA_MISSING */
  async read(split: StoreSplit, sample: number): Promise<SampleBytes> {
    const entry = this.#manifest.splits[split];
    if (entry === undefined || sample >= entry.samples) {
      throw new BitswarmError(
        "CONFIG_INVALID",
        `there is no sample ${sample} in ${split} of ${this.#store.where}; it has ${entry?.samples ?? 0}, from 0 on`,
      );
    }
    const each = entry.shards[0]!.samples;
    const number = Math.floor(sample / each);
    const shard = entry.shards[number]!;
    let index = this.#indices.get(shard.sha256);
    if (index === undefined) {
      index = await shardIndex(this.#store, this.#manifest, shard);
      this.#indices.set(shard.sha256, index);
    }
    const { chunk } = storeFormat(this.#manifest);
    const row = sample % each;
    const place = { shard, first: number * each, index };
    const rows = await verifiedChunk(this.#store, this.#manifest, split, place, Math.floor(row / chunk));
    return rows[row % chunk]!;
  }
}
