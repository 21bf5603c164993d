// A store that `bitswarm import` made: its shards are served as they lie there, and none of them is read before
// somebody wants it, so that 40 GB open as fast as one.

import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { classCount, type DataOptions, isBucket, store } from "../../../shared/data/data-kinds.ts";
import { type Dataset, MEDIA_CLIP, type Shard, type Split, storedSamples } from "../../../shared/data/dataset.ts";
import { settledView } from "../../../shared/data/image-view.ts";
import { commandText } from "../../base/command-text.ts";
import { storageError } from "../../disk/storage-error.ts";
import { StoredFile } from "../../disk/stored-file.ts";
import { BucketStore } from "../../store/bucket-store.ts";
import { LocalStore } from "../../store/local-store.ts";
import { type StoreManifest, type StoreSplit, samplesFile, storeFormat } from "../../store/manifest.ts";
import { type StoreReader, shardIndex } from "../../store/store-reader.ts";
import { defineImporter, type Environment, type ShardedSource } from "./importer.ts";
import { readLabels } from "./store-labels.ts";

/** Files whose sizes are asked for at once. */
const STATS_AT_ONCE = 64;

/** The splits of a store that a run trains on and is tested with. @throws DATA_INVALID where nothing is held out */
function splitsOf({ splits }: StoreManifest, where: string): Readonly<Record<Split, StoreSplit>> {
  const test = splits.val ? "val" : "test";
  if (splits[test]) return { train: "train", test };
  throw new BitswarmError(
    "DATA_INVALID",
    `${where} has training images only, and nothing to evaluate with: import them again, with --holdout 10%, or more where that held out none`,
  );
}

/** The shards that hold the first `limit` samples; the last may hold more than are used. @param draws of each */
function firstOf(split: Dataset[Split], limit: number, draws = 1): Dataset[Split] {
  const stored = Math.min(limit, split.samples);
  const shards = split.shards.slice(0, Math.ceil(stored / split.shards[0].samples));
  return draws === 1 ? { samples: stored, shards } : { samples: stored * draws, shards, draws };
}

/** @throws CONFIG_INVALID for fewer classes than the store's labels have */
function classesOf({ classes }: StoreManifest, options: DataOptions, where: string): number {
  const wanted = classCount(options) ?? classes.length;
  if (wanted >= classes.length) return wanted;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `data.classes: ${where} has ${classes.length} classes; got ${wanted}; leave it out`,
  );
}

function datasetOf(manifest: StoreManifest, options: DataOptions, where: string): Dataset {
  const { layout, media, shape, mean, std, splits } = manifest;
  const { train, test } = splitsOf(manifest, where);
  const clips = media === MEDIA_CLIP;
  return {
    name: layout.kind,
    format: storeFormat(manifest),
    shape,
    // What a clip is of is told to people alone.
    classes: clips ? 0 : classesOf(manifest, options, where),
    mean,
    std,
    train: firstOf(splits[train] as Dataset[Split], options.trainSamples, options.draws),
    test: firstOf(splits[test] as Dataset[Split], options.testSamples, options.testDraws),
  };
}

/** Labels without a sample among those that a run uses of a split; of a whole split its import has told. */
async function unseenLabels(
  reader: StoreReader,
  manifest: StoreManifest,
  dataset: Dataset,
  split: Split,
): Promise<number[]> {
  const named = splitsOf(manifest, reader.where)[split];
  const samples = storedSamples(dataset[split]);
  if (dataset.classes === 0 || samples === manifest.splits[named]?.samples) return [];
  const seen = new Set<number>();
  for await (const label of readLabels(
    reader.sideFile(samplesFile(named)),
    `${reader.where}/${samplesFile(named)}`,
    samples,
  )) {
    seen.add(label);
  }
  return manifest.classes.flatMap((_, label) => (seen.has(label) ? [] : [label]));
}

/** The files of the shards, each verified by its index before it is first sent. */
class ShardFiles {
  readonly #store: LocalStore;
  readonly #manifest: StoreManifest;
  readonly #shards: ReadonlyMap<string, Shard>;
  /** Those whose index hashed to their name. */
  readonly #verified = new Set<string>();

  constructor(store: LocalStore, manifest: StoreManifest, { train, test }: Dataset) {
    this.#store = store;
    this.#manifest = manifest;
    this.#shards = new Map([...train.shards, ...test.shards].map((shard) => [shard.sha256, shard]));
  }

  /** @throws DATA_MISSING, DATA_INVALID naming the first file that is gone, or not as long as it was */
  async requireAll(): Promise<void> {
    const shards = [...this.#shards.values()];
    for (let at = 0; at < shards.length; at += STATS_AT_ONCE) {
      await Promise.all(shards.slice(at, at + STATS_AT_ONCE).map((shard) => this.#require(shard)));
    }
  }

  async find(sha256: string): Promise<StoredFile | undefined> {
    const shard = this.#shards.get(sha256);
    if (!shard) return undefined;
    const file = await this.#require(shard);
    if (!this.#verified.has(sha256)) {
      await shardIndex(this.#store, this.#manifest, shard);
      this.#verified.add(sha256);
    }
    return file;
  }

  async #require(shard: Shard): Promise<StoredFile> {
    const path = this.#store.shardPath(shard);
    const advice = "copy the store anew, or import the images again";
    let size: number;
    try {
      ({ size } = await stat(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw storageError(error, path, undefined, "read");
      throw new BitswarmError("DATA_MISSING", `${path} is gone: ${advice}`);
    }
    if (size === shard.bytes) return new StoredFile(path, size);
    throw new BitswarmError("DATA_INVALID", `${path} has ${size} bytes; expected ${shard.bytes}: ${advice}`);
  }
}

/** What of a pixel store's options says nothing. */
function sizeNotices(given: DataOptions, settled: DataOptions, where: string): string[] {
  if (given.size === undefined || settled.size !== undefined) return [];
  return [`data.size=${given.size} says nothing here: ${where} holds pixels, which are seen as they are`];
}

/** Where the store is: as the configuration says, else as BITSWARM_DATA does. @throws CONFIG_INVALID */
function placeOf({ store: named }: DataOptions, { BITSWARM_DATA: usual }: Environment): string {
  const place = named ?? (usual === "" ? undefined : usual);
  if (place !== undefined) return isBucket(place) ? place : resolve(place);
  throw new BitswarmError(
    "CONFIG_INVALID",
    `data.store: is needed with data.kind=store; name the folder that \`${commandText("coordinator", ["import", "SOURCE", "--out", "FOLDER"])}\` made, or s3://bucket/prefix; got none`,
  );
}

interface Opened {
  readonly reader: StoreReader;
  readonly settled: DataOptions;
  readonly manifest: StoreManifest;
  readonly dataset: Dataset;
}

async function openManifest(reader: StoreReader, options: DataOptions): Promise<Opened> {
  const manifest = await reader.manifest();
  const settled = settledView(options, storeFormat(manifest));
  return { reader, settled, manifest, dataset: datasetOf(manifest, settled, reader.where) };
}

async function described({ reader, manifest, dataset, settled }: Opened, options: DataOptions) {
  const [train, test] = await Promise.all(
    (["train", "test"] as const).map((split) => unseenLabels(reader, manifest, dataset, split)),
  );
  const notices = sizeNotices(options, settled, reader.where);
  return { dataset, options: settled, unseen: { train, test }, notices };
}

async function openLocal(reader: LocalStore, options: DataOptions): Promise<ShardedSource> {
  const opened = await openManifest(reader, options);
  const files = new ShardFiles(reader, opened.manifest, opened.dataset);
  await files.requireAll();
  return { ...(await described(opened, options)), shard: (sha256) => files.find(sha256) };
}

async function openBucket(reader: BucketStore, options: DataOptions): Promise<ShardedSource> {
  const opened = await openManifest(reader, options);
  const { train, test } = opened.dataset;
  const shards = new Map([...train.shards, ...test.shards].map((shard) => [shard.sha256, shard]));
  // Says now what would stop every worker later: that these keys may not read shards.
  await shardIndex(reader, opened.manifest, test.shards[0]);
  const own = await described(opened, options);
  return {
    ...own,
    dataset: { ...own.dataset, presigned: true },
    elsewhere: {
      origin: reader.origin,
      addressOf: async (sha256) => (shards.has(sha256) ? reader.sign({ sha256 }) : undefined),
    },
    // For whoever the bucket does not answer.
    shard: async (sha256) => {
      const shard = shards.get(sha256);
      return shard && { bytes: shard.bytes, stream: (begin, end) => bucketStream(reader, shard, begin, end) };
    },
  };
}

/** Nothing is asked of the bucket before somebody reads. */
function bucketStream(reader: BucketStore, shard: Shard, begin = 0, end = shard.bytes) {
  let body: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        body ??= (await reader.rangeStream(shard, begin, end)).getReader();
        const { done, value } = await body.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => body?.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

async function namesIn(options: DataOptions, environment: Environment): Promise<readonly string[]> {
  const place = placeOf(options, environment);
  const reader = isBucket(place) ? new BucketStore(place, environment) : new LocalStore(place);
  return (await reader.manifest()).classes.map(({ name }) => name);
}

export const storeImporter = defineImporter(
  store,
  async (options, environment) => {
    const place = placeOf(options, environment);
    if (isBucket(place)) return openBucket(new BucketStore(place, environment), options);
    return openLocal(new LocalStore(place), options);
  },
  namesIn,
);
