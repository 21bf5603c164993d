// Whether a store is whole: every hash from the manifest down to the chunks, the lists beside it, and on request every
// picture. Few chunks are in memory at a time, so any store fits.

import { createHash } from "node:crypto";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Shard } from "../../shared/data/dataset.ts";
import { labelOf, type SampleBytes } from "../../shared/data/shard-layout.ts";
import { type StoreManifest, type StoreSplit, storeFormat, storeSplits } from "../store/manifest.ts";
import { type StoreReader, shardIndex } from "../store/store-reader.ts";
import { type ListedSample, listedSamples, oddFiles } from "./list-lines.ts";
import { imageReader, type ReadImage } from "./sample-images.ts";
import { verifiedChunk } from "./store-samples.ts";

/** Chunks that are read at once: from a bucket each takes a while, however small. */
const READ_AHEAD = 8;

export interface Verified {
  samples: number;
  chunks: number;
  bytes: number;
  damages: number;
}

export interface VerifyOptions {
  /** Decodes every sample as well. */
  readonly decode: boolean;
  /** What is damaged, with chunk and sample, in words. */
  readonly onDamage: (what: string) => void;
  /** After each shard. */
  readonly onShard?: (split: StoreSplit, done: number, of: number) => void;
}

/** What is wrong with the bytes, in words. @throws what is a mistake here, or the disk's */
function damageOf(error: unknown): string {
  if (error instanceof BitswarmError && (error.code === "DATA_INVALID" || error.code === "DATA_MISSING"))
    return error.message;
  throw error;
}

class Verification {
  readonly #store: StoreReader;
  readonly #manifest: StoreManifest;
  readonly #options: VerifyOptions;
  readonly #readImage: ReadImage | undefined;
  readonly found: Verified = { samples: 0, chunks: 0, bytes: 0, damages: 0 };

  constructor(store: StoreReader, manifest: StoreManifest, options: VerifyOptions, readImage: ReadImage | undefined) {
    this.#store = store;
    this.#manifest = manifest;
    this.#options = options;
    this.#readImage = readImage;
  }

  #damage(what: string): void {
    this.found.damages++;
    this.#options.onDamage(what);
  }

  /** @returns what it made, or nothing where bytes were damaged, which it tells */
  async #telling<T>(make: () => Promise<T>): Promise<T | undefined> {
    try {
      return await make();
    } catch (error) {
      this.#damage(damageOf(error));
      return undefined;
    }
  }

  async sideFiles(): Promise<void> {
    for (const [name, wanted] of Object.entries(this.#manifest.files)) {
      await this.#telling(async () => {
        const hash = createHash("sha256");
        let bytes = 0;
        for await (const piece of this.#store.sideFile(name)) {
          hash.update(piece);
          bytes += piece.length;
        }
        const found = hash.digest("hex");
        if (bytes !== wanted.bytes || found !== wanted.sha256)
          this.#damage(
            `${name} has ${bytes} bytes that hash to ${found}, the manifest says ${wanted.bytes} and ${wanted.sha256}`,
          );
      });
    }
  }

  async oddFiles(which: "converted" | "rejected"): Promise<void> {
    await this.#telling(async () => {
      let lines = 0;
      for await (const _ of oddFiles(this.#store, which)) lines++;
      const said = this.#manifest[which];
      if (lines !== said) this.#damage(`${which}.ndjson lists ${lines} files, the manifest counts ${said}`);
    });
  }

  async split(split: StoreSplit): Promise<void> {
    const { samples, shards } = this.#manifest.splits[split]!;
    const list = new LabelList(listedSamples(this.#store, split));
    let first = 0;
    for (const [i, shard] of shards.entries()) {
      await this.#shard(split, shard, first, list);
      first += shard.samples;
      this.#options.onShard?.(split, i + 1, shards.length);
    }
    const listed = await list.length();
    if (listed !== undefined && listed !== samples)
      this.#damage(`samples-${split}.tsv lists ${listed} samples, the manifest counts ${samples}`);
    if (list.failure !== undefined) this.#damage(damageOf(list.failure));
  }

  async #shard(split: StoreSplit, shard: Shard, first: number, list: LabelList): Promise<void> {
    const index = await this.#telling(() => shardIndex(this.#store, this.#manifest, shard));
    if (index === undefined) return list.skip(shard.samples);
    const { chunk: each } = storeFormat(this.#manifest);
    const place = { shard, first, index };
    const reads: Promise<readonly SampleBytes[] | undefined>[] = [];
    for (let chunk = 0, next = 0; chunk < index.chunks; chunk++) {
      for (; next < index.chunks && next < chunk + READ_AHEAD; next++) {
        const ahead = next;
        const read = this.#telling(() => verifiedChunk(this.#store, this.#manifest, split, place, ahead));
        // It is awaited in its turn, perhaps after another has failed.
        read.catch(() => undefined);
        reads.push(read);
      }
      const rows = await reads.shift();
      if (rows === undefined) {
        await list.skip(Math.min(each, shard.samples - chunk * each));
        continue;
      }
      this.found.chunks++;
      for (const [row, sample] of rows.entries()) {
        const number = first + chunk * each + row;
        await this.#sample(`${split}: sample ${number} (chunk ${chunk} of shard ${shard.sha256})`, sample, list);
      }
    }
    this.found.bytes += shard.bytes;
    await this.#end(split, shard);
  }

  async #sample(name: string, { content, target }: SampleBytes, list: LabelList): Promise<void> {
    this.found.samples++;
    const label = labelOf(target);
    const { classes } = this.#manifest;
    if (label >= classes.length) this.#damage(`${name} has label ${label}; there are ${classes.length} classes`);
    const listed = await list.next();
    if (listed !== undefined && listed.label !== label)
      this.#damage(`${name} has label ${label}, the list says ${listed.label} (${listed.name})`);
    try {
      this.#readImage?.(content);
    } catch (error) {
      this.#damage(`${name}: ${damageOf(error)}`);
    }
  }

  /** A shard ends with its last chunk: what follows, nobody has hashed. */
  async #end(split: StoreSplit, shard: Shard): Promise<void> {
    const more = await this.#store.range(shard, shard.bytes, shard.bytes + 1).catch(() => undefined);
    if (more) this.#damage(`${split}: shard ${shard.sha256} has more than its ${shard.bytes} bytes`);
  }
}

/** The list of a split, read along with its samples; what is wrong with it is told once, at the end. */
class LabelList {
  readonly #lines: AsyncGenerator<ListedSample>;
  #read = 0;
  #ended = false;
  failure: unknown;

  constructor(lines: AsyncGenerator<ListedSample>) {
    this.#lines = lines;
  }

  async next(): Promise<ListedSample | undefined> {
    if (this.#ended) return undefined;
    try {
      const { value, done } = await this.#lines.next();
      if (done !== true) {
        this.#read++;
        return value;
      }
    } catch (error) {
      this.failure = error;
    }
    this.#ended = true;
    return undefined;
  }

  async skip(samples: number): Promise<void> {
    for (let i = 0; i < samples; i++) await this.next();
  }

  /** Of the whole list; undefined where it could not be read to its end. */
  async length(): Promise<number | undefined> {
    while (!this.#ended) await this.next();
    return this.failure === undefined ? this.#read : undefined;
  }
}

/**
 * Reads all of a store, and tells of each damage as it is found.
 * @throws what the manifest's reading throws, and STORAGE_FAILED
 */
export async function verifyStore(store: StoreReader, options: VerifyOptions): Promise<Verified> {
  const manifest = await store.manifest();
  const readImage = options.decode ? await imageReader(manifest) : undefined;
  const verification = new Verification(store, manifest, options, readImage);
  await verification.sideFiles();
  await verification.oddFiles("converted");
  await verification.oddFiles("rejected");
  for (const split of storeSplits) if (manifest.splits[split]) await verification.split(split);
  return verification.found;
}
