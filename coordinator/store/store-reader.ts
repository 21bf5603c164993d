// What a store is to whoever reads it, wherever it lies: a folder here and a bucket elsewhere are read alike.

import { BitswarmError } from "../../shared/base/errors.ts";
import { sha256Hex } from "../../shared/base/hash.ts";
import type { Shard } from "../../shared/data/dataset.ts";
import { indexBytes, readIndex, type ShardIndex } from "../../shared/data/shard-layout.ts";
import { type StoreManifest, storeFormat } from "./manifest.ts";

/** What of a shard is asked for. */
export type ShardName = Pick<Shard, "sha256" | "bytes">;

export interface StoreReader {
  /** For messages: a folder, or `s3://bucket/prefix`. */
  readonly where: string;
  /** @throws DATA_MISSING where there is none, DATA_INVALID */
  manifest(): Promise<StoreManifest>;
  /**
   * Bytes [begin, end) of a shard. What they hash to is for the caller to see.
   * @throws DATA_MISSING where it is gone, DATA_INVALID where it is shorter, STORAGE_FAILED
   */
  range(shard: ShardName, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** A file that lies beside the manifest, piece by piece. @throws DATA_MISSING, STORAGE_FAILED */
  sideFile(name: string): AsyncIterable<Uint8Array>;
}

/**
 * Where the chunks of a store's shard lie, by its verified index.
 * @throws DATA_INVALID for an index that does not hash to the shard's name, and what `range` throws
 */
export async function shardIndex(
  store: StoreReader,
  manifest: Pick<StoreManifest, "media" | "options">,
  shard: Shard,
): Promise<ShardIndex> {
  const format = storeFormat(manifest);
  const bytes = await store.range(shard, 0, indexBytes(format, shard.samples));
  const found = sha256Hex(bytes);
  if (found !== shard.sha256) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${store.where}: the index of shard ${shard.sha256} hashes to ${found}: the file is damaged, copy the store anew`,
    );
  }
  return readIndex(format, shard, bytes, `${store.where}: shard ${shard.sha256}`);
}

/** A name in one line of a list: what would end the line, or the field, is escaped. */
export function escapeName(name: string): string {
  return name.replace(/[\\\t\n\r]/g, (character) => escapes[character]);
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
