// The second half of an import: bucket by bucket, samples are put in order and cut into shards. A bucket is removed as
// soon as all of its samples are in shards that are durable.

import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { printable, printableJson } from "../base/printable.ts";
import {
  CONVERTED_FILE,
  LABEL_TARGET_BYTES,
  type StoreMedia,
  type StoreSplit,
  samplesFile,
  storeFormat,
  storeSplits,
} from "../store/manifest.ts";
import { escapeName } from "../store/store-reader.ts";
import { requireFewShards, StoreWriter, samplesOfShard } from "../store/store-writer.ts";
import { AppendFile } from "./append-file.ts";
import { BucketReader, type BucketRecord, inOrder } from "./bucket-files.ts";
import { type Journal, writeJournal } from "./journal.ts";
import type { OpenSource, SourceClass } from "./layouts/layout.ts";

/** Classes that a message names. */
const NAMED_CLASSES = 5;

export interface ArrangePorts {
  /** Of the store, and where the import works. */
  readonly store: string;
  readonly folder: string;
  readonly signal: AbortSignal;
  /** After each shard. */
  readonly onProgress: (split: StoreSplit) => void;
}

type Arranged = NonNullable<Journal["arranged"][StoreSplit]>;

const beginning: Arranged = { shards: [], bucket: 0, before: 0, listBytes: 0, ended: false };

/** Splits that have samples. */
export function filledSplits({ stored }: Journal): StoreSplit[] {
  return storeSplits.filter((split) => (stored[split]?.samples ?? 0) > 0);
}

/** Samples in whole shards. */
export function arrangedSamples(journal: Journal): number {
  return storeSplits
    .flatMap((split) => journal.arranged[split]?.shards ?? [])
    .reduce((sum, { samples }) => sum + samples, 0);
}

function named(labels: readonly number[], classes: readonly SourceClass[]): string {
  const first = labels.slice(0, NAMED_CLASSES).map((label) => printable(classes[label].id ?? classes[label].name));
  const more = labels.length > first.length ? ` and ${labels.length - first.length} more` : "";
  return `${first.join(", ")}${more}`;
}

/**
 * Looks at what there is of each class, once all is read.
 * @throws DATA_INVALID where there is nothing to train on
 */
export async function checkClasses(
  folder: string,
  journal: Journal,
  { classes, media }: Pick<OpenSource, "classes" | "media">,
  onNotice: (message: string) => void,
): Promise<void> {
  if (!filledSplits(journal).includes("train")) {
    const rejects = journal.rejected > 0 ? `; ${journal.rejected} files were rejected` : "";
    throw new BitswarmError(
      "DATA_INVALID",
      `the source has no training ${media === "clips" ? "sequence" : "image"} that can be used${rejects}`,
    );
  }
  // Nobody learns what a clip is of.
  if (media === "clips") return;
  const counts = new Map<StoreSplit, Uint32Array>();
  for (const split of filledSplits(journal)) {
    const perClass = new Uint32Array(classes.length);
    for (let bucket = 0; bucket < journal.buckets; bucket++) {
      for (const { label } of await new BucketReader(folder, split, bucket).entries()) perClass[label]++;
    }
    counts.set(split, perClass);
  }
  const train = counts.get("train") as Uint32Array;
  const labels = [...train.keys()];
  for (const [split, perClass] of counts) {
    if (split === "train") continue;
    const untrained = labels.filter((label) => train[label] === 0 && perClass[label] > 0);
    if (untrained.length > 0) {
      onNotice(
        `${untrained.length} of ${classes.length} classes have images in ${split} and none in train, which nothing can learn: ${named(untrained, classes)}`,
      );
    }
    const missing = labels.filter((label) => perClass[label] === 0 && train[label] > 0);
    if (missing.length > 0) {
      onNotice(`${missing.length} of ${classes.length} classes have no image in ${split}: ${named(missing, classes)}`);
    }
  }
  const empty = labels.filter((label) => [...counts.values()].every((perClass) => perClass[label] === 0));
  if (empty.length > 0) {
    onNotice(`${empty.length} of ${classes.length} classes have no image at all: ${named(empty, classes)}`);
  }
}

export class Arrange {
  readonly #journal: Journal;
  readonly #media: StoreMedia;
  readonly #ports: ArrangePorts;
  /** Buckets of each split that are gone. */
  readonly #removed = new Map<StoreSplit, number>();
  #converted: AppendFile | undefined;

  /** @param journal is changed as shards are written */
  constructor(journal: Journal, media: StoreMedia, ports: ArrangePorts) {
    this.#journal = journal;
    this.#media = media;
    this.#ports = ports;
  }

  /** Writes shards until all are written, or the signal stops it. @throws DATA_INVALID, STORAGE_FAILED */
  async run(): Promise<void> {
    // The lists may have been moved to where they stay.
    if (filledSplits(this.#journal).every((split) => this.#journal.arranged[split]?.ended)) return;
    this.#converted = await AppendFile.open(join(this.#ports.folder, CONVERTED_FILE), this.#journal.convertedBytes);
    try {
      for (const split of filledSplits(this.#journal)) {
        if (!this.#journal.arranged[split]?.ended) await this.#split(split);
        if (this.#ports.signal.aborted) return;
      }
    } finally {
      await this.#converted.close();
    }
  }

  async #split(split: StoreSplit): Promise<void> {
    const { store, folder, signal } = this.#ports;
    const { samples, bytes } = this.#journal.stored[split] as NonNullable<Journal["stored"][StoreSplit]>;
    const format = storeFormat({ media: this.#media, options: this.#journal.options });
    const plan = { format, samples, samplesPerShard: samplesOfShard(format, bytes / samples) };
    requireFewShards(plan, split);
    const begun = this.#journal.arranged[split] ?? beginning;
    const writer = new StoreWriter(store, plan, begun.shards);
    const list = await AppendFile.open(join(folder, samplesFile(split)), begun.listBytes);
    let { before } = begun;
    try {
      for (let bucket = begun.bucket; bucket < this.#journal.buckets; bucket++) {
        const reader = new BucketReader(folder, split, bucket);
        try {
          const entries = await inOrder(reader);
          for (const entry of entries.slice(Math.max(0, writer.durable - before))) {
            if (signal.aborted) return;
            const record = await reader.record(entry);
            if (await this.#add(record, split, writer, list)) {
              await this.#write(split, {
                shards: [...writer.shards],
                bucket,
                before,
                listBytes: list.length,
                ended: false,
              });
            }
          }
          before += entries.length;
        } finally {
          await reader.close();
        }
      }
      const { length: listBytes } = list;
      const ended = { shards: [...writer.shards], bucket: this.#journal.buckets, before, listBytes, ended: true };
      await this.#write(split, ended);
    } finally {
      await writer.abandon();
      await list.close();
    }
  }

  /** @returns whether a shard is whole with it, and all lists durable */
  async #add(record: BucketRecord, split: StoreSplit, writer: StoreWriter, list: AppendFile): Promise<boolean> {
    const { label, name, why, content } = record;
    const target = new Uint8Array(LABEL_TARGET_BYTES);
    new DataView(target.buffer).setUint16(0, label, true);
    const shard = await writer.add({ content, target });
    await list.append(Buffer.from(`${label}\t${escapeName(name)}\n`));
    if (why !== "") {
      this.#journal.converted++;
      await this.#converted?.append(Buffer.from(`${printableJson({ split, source: name, why })}\n`));
    }
    if (shard === undefined) return false;
    await list.sync();
    return true;
  }

  async #write(split: StoreSplit, arranged: Arranged): Promise<void> {
    await this.#converted?.sync();
    this.#journal.convertedBytes = this.#converted?.length ?? 0;
    this.#journal.arranged[split] = arranged;
    await writeJournal(this.#ports.folder, this.#journal);
    // Nobody will ask for them again.
    for (let bucket = this.#removed.get(split) ?? 0; bucket < arranged.bucket; bucket++) {
      await new BucketReader(this.#ports.folder, split, bucket).remove();
    }
    this.#removed.set(split, arranged.bucket);
    this.#ports.onProgress(split);
  }
}
