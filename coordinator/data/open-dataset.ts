// The data set of a run: opened by the importer that its kind names, cut into shards, and found again by their hashes.

import { BitswarmError } from "../../shared/base/errors.ts";
import { classCount, type DataOptions } from "../../shared/data/data-kinds.ts";
import { type Dataset, type Shard, storedSamples } from "../../shared/data/dataset.ts";
import type { StoredBytes } from "../disk/stored-file.ts";
import type { Environment, SampleSource, ShardedSource, ShardsElsewhere } from "./importers/importer.ts";
import { importers } from "./importers/importers.ts";
import { ShardStore, shardFolder } from "./shard-store.ts";
import { type Sharded, shardDataset } from "./sharder.ts";

export interface OpenDataset {
  readonly dataset: Dataset;
  /** The configuration's, with what it left to the data set filled in: how many samples, of how many classes, … */
  readonly options: DataOptions;
  /** What a person should know of it before it is trained on. */
  readonly notices: readonly string[];
  /**
   * A shard of this data set by its SHA-256; undefined for any other name, or where its file is gone.
   * @throws DATA_MISSING, DATA_INVALID, STORAGE_FAILED with what the operator can do: it names files of this machine
   */
  shard(sha256: string): Promise<StoredBytes | undefined>;
  /** Where workers read the shards themselves; none where the coordinator sends them. */
  readonly elsewhere?: ShardsElsewhere;
}

/** Classes that a notice names; the rest are counted. */
const NAMED = 10;

/** Classes that a split has no image of: nothing says so later but a poor accuracy. */
function unseenNotices({ dataset, unseen }: Pick<Sharded, "dataset" | "unseen">, { classes }: DataOptions): string[] {
  const named = (label: number) => (typeof classes === "object" ? `${label} (${classes[label]})` : `${label}`);
  return (["train", "test"] as const).flatMap((split) => {
    const labels = unseen[split];
    if (labels.length === 0) return [];
    const more = labels.length > NAMED ? ` and ${labels.length - NAMED} more` : "";
    const list = labels.slice(0, NAMED).map(named).join(", ") + more;
    const images = `the first ${dataset[split].samples} ${split === "train" ? "training" : "test"} images`;
    const raise = split === "train" ? "data.trainSamples" : "data.testSamples";
    return [
      `${labels.length} of ${dataset.classes} classes have no image among ${images}: ${list}. If that is not meant, raise ${raise}, or check the labels and data.classes`,
    ];
  });
}

/** With the classes that the configuration asks for. @throws CONFIG_INVALID where the source's targets are no labels */
function withClasses(source: SampleSource, options: DataOptions): SampleSource {
  const classes = classCount(options);
  if (classes === undefined) return source;
  if (source.classes > 0) return { ...source, classes };
  throw new BitswarmError(
    "CONFIG_INVALID",
    `data.classes: the samples of data.kind=${options.kind} have no labels; got ${JSON.stringify(options.classes)}; leave it out`,
  );
}

/** What "all there are" came to, so that run.yaml says it. */
function settledOptions(options: DataOptions, { train, test, classes }: Dataset): DataOptions {
  const counted = { ...options, trainSamples: storedSamples(train), testSamples: storedSamples(test) };
  return classes > 0 && options.classes === undefined ? { ...counted, classes } : counted;
}

function inShards(source: ShardedSource): OpenDataset {
  const { dataset, options, elsewhere } = source;
  return {
    dataset,
    options: settledOptions(options, dataset),
    notices: [...source.notices, ...unseenNotices(source, options)],
    shard: (sha256) => source.shard(sha256),
    ...(elsewhere === undefined ? {} : { elsewhere }),
  };
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
  const opened = await importers.get(kind).open(options, environment);
  if ("dataset" in opened) return inShards(opened);
  const source = withClasses(opened, options);
  const sharded = await shardDataset(kind, source, { train: trainSamples, test: testSamples }, store);
  const { dataset } = sharded;
  const shards = new Map<string, Shard>();
  for (const shard of [...dataset.train.shards, ...dataset.test.shards]) shards.set(shard.sha256, shard);
  return {
    dataset,
    options: settledOptions(options, dataset),
    notices: unseenNotices(sharded, options),
    shard: async (sha256) => {
      const shard = shards.get(sha256);
      return shard && store.find(shard);
    },
  };
}
