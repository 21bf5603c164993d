// The data set of a run: opened by the importer that its kind names, cut into shards, and found again by their hashes.

import type { DataOptions } from "../../shared/data/data-kinds.ts";
import type { Dataset, Shard } from "../../shared/data/dataset.ts";
import type { Environment } from "./importers/importer.ts";
import { importers } from "./importers/importers.ts";
import { ShardStore, type StoredShard, shardFolder } from "./shard-store.ts";
import { shardDataset } from "./sharder.ts";

export interface OpenDataset {
  readonly dataset: Dataset;
  /** A shard of this data set by its SHA-256; undefined for any other name, or where its file is gone. */
  shard(sha256: string): Promise<StoredShard | undefined>;
}

/**
 * Reads the data set of a run: its first `trainSamples` and `testSamples` samples, all of them where there are fewer.
 * @param environment may hold BITSWARM_DATA, the folder of the files
 * @param store of the shards; the user's cache folder unless given
 * @throws DATA_MISSING saying how to get it, DATA_INVALID naming file, field and value, STORAGE_FAILED
 */
export async function openDataset(
  options: DataOptions,
  environment: Environment = process.env,
  store = new ShardStore(shardFolder(process.env)),
): Promise<OpenDataset> {
  const { kind, trainSamples, testSamples } = options;
  const source = await importers.get(kind).open(options, environment);
  const dataset = await shardDataset(kind, source, { train: trainSamples, test: testSamples }, store);
  const shards = new Map<string, Shard>();
  for (const shard of [...dataset.train.shards, ...dataset.test.shards]) shards.set(shard.sha256, shard);
  return {
    dataset,
    shard: async (sha256) => {
      const shard = shards.get(sha256);
      return shard && store.find(shard);
    },
  };
}
