// Cuts the samples of a split, given in the store's order, into shards on the disk: one chunk of them is in memory at a
// time, and a shard has its name only once it is whole and durable.

import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type BytesFormat, MAX_SHARD_BYTES, MAX_SHARDS, type Shard } from "../../shared/data/dataset.ts";
import { indexBytes, type SampleBytes, writeChunk, writeIndex } from "../../shared/data/shard-layout.ts";
import { contentHash } from "../disk/content-hash.ts";
import { diskFiles } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { SHARDS_FOLDER } from "./manifest.ts";

/** Chunks of a shard, unless samples are large. */
export const SHARD_CHUNKS = 256;
/** Shards of more bytes on average get fewer chunks: CDNs fetch whole objects, and a shard has a limit. */
export const USUAL_SHARD_BYTES = 96 * 2 ** 20;

/** Samples of every shard of a split but the last. @param mean bytes of a sample */
export function samplesOfShard({ chunk }: BytesFormat, mean: number): number {
  let chunks = SHARD_CHUNKS;
  while (chunks > 1 && chunks * chunk * mean > USUAL_SHARD_BYTES) chunks /= 2;
  return chunks * chunk;
}

export interface SplitPlan {
  readonly format: BytesFormat;
  /** Of the whole split. */
  readonly samples: number;
  readonly samplesPerShard: number;
}

/** @throws DATA_INVALID for a split of more shards than a manifest may have */
export function requireFewShards({ samples, samplesPerShard }: SplitPlan, split: string): void {
  const shards = Math.ceil(samples / samplesPerShard);
  if (shards <= MAX_SHARDS) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${samples} samples of ${split} in shards of ${samplesPerShard} are ${shards} shards; the limit is ${MAX_SHARDS}: let --short make the images smaller`,
  );
}

export class StoreWriter {
  readonly #folder: string;
  readonly #plan: SplitPlan;
  /** Those that are whole. */
  readonly #shards: Shard[];
  #held: SampleBytes[] = [];
  #chunks: { readonly bytes: number; readonly sha256: string }[] = [];
  #file: FileHandle | undefined;
  /** Bytes of the open shard so far, its index among them. */
  #at = 0;
  /** Samples of the open shard. */
  #samples = 0;

  /**
   * @param folder of the store; its folder of shards is there
   * @param shards those of the split's first samples that are there already; the sample after theirs comes next
   */
  constructor(folder: string, plan: SplitPlan, shards: readonly Shard[] = []) {
    this.#folder = join(folder, SHARDS_FOLDER);
    this.#plan = plan;
    this.#shards = [...shards];
  }

  get shards(): readonly Shard[] {
    return this.#shards;
  }

  /** Samples in whole shards. */
  get durable(): number {
    return this.#shards.reduce((sum, { samples }) => sum + samples, 0);
  }

  get #path(): string {
    return join(this.#folder, "writing");
  }

  /** Samples that the open shard will have. */
  get #size(): number {
    return Math.min(this.#plan.samplesPerShard, this.#plan.samples - this.durable);
  }

  /**
   * Its bytes are copied before this resolves.
   * @returns the shard that is whole with it
   * @throws DATA_INVALID for a shard that is too large, STORAGE_FAILED
   */
  async add(sample: SampleBytes): Promise<Shard | undefined> {
    this.#held.push(sample);
    this.#samples++;
    const whole = this.#samples === this.#size;
    if (this.#held.length < this.#plan.format.chunk && !whole) return undefined;
    try {
      await this.#writeChunk();
      return whole ? await this.#close() : undefined;
    } catch (error) {
      throw storageError(error, this.#path, "Make room, and give the same command again: it goes on");
    }
  }

  async #writeChunk(): Promise<void> {
    if (this.#file === undefined) {
      this.#file = await open(this.#path, "w");
      this.#at = indexBytes(this.#plan.format, this.#size);
    }
    const bytes = writeChunk(this.#plan.format, this.#held);
    if (this.#at + bytes.length > MAX_SHARD_BYTES) {
      throw new BitswarmError(
        "DATA_INVALID",
        `${this.#samples} of a shard's ${this.#size} samples take ${this.#at + bytes.length} bytes; a shard may have ${MAX_SHARD_BYTES}: let --short make the images smaller`,
      );
    }
    await writeAt(this.#file, bytes, this.#at);
    this.#at += bytes.length;
    this.#chunks.push({ bytes: bytes.length, sha256: contentHash(bytes) });
    this.#held = [];
  }

  async #close(): Promise<Shard> {
    const file = this.#file as FileHandle;
    const index = writeIndex(this.#chunks);
    await writeAt(file, index, 0);
    await file.sync();
    await file.close();
    this.#file = undefined;
    const shard: Shard = { sha256: contentHash(index), samples: this.#samples, bytes: this.#at };
    await rename(this.#path, join(this.#folder, shard.sha256));
    await diskFiles.syncDirectory(this.#folder);
    this.#shards.push(shard);
    this.#chunks = [];
    this.#samples = 0;
    return shard;
  }

  /** Lets go of a shard that is not whole. */
  async abandon(): Promise<void> {
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    await rm(this.#path, { force: true }).catch(() => undefined);
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, at + written);
    written += bytesWritten;
  }
}
