// Samples of a split on their way into order: files of records whose keys begin alike. A bucket is two files, so that
// what must be known of a sample to find its place fits the memory: fixed entries, and names with contents.

import { type FileHandle, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { storageError } from "../disk/storage-error.ts";
import { AppendFile } from "./append-file.ts";
import { bucketOf, KEY_BYTES } from "./sample-key.ts";

/** Most buckets of a split: each holds so many files open. */
export const MOST_BUCKETS = 64;
/** Of a source, that share a bucket where there are few of them. */
const BYTES_A_BUCKET = 2 ** 26;
/** Key, label, bytes of the name, bytes of the reason, two of nothing, bytes of the content. */
const ENTRY_BYTES = KEY_BYTES + 12;
/** Longest name of a sample, in bytes. */
export const LONGEST_NAME = 4096;

/** How many buckets a source takes. */
export function bucketsFor(bytes: number): number {
  return Math.min(MOST_BUCKETS, Math.max(1, Math.ceil(bytes / BYTES_A_BUCKET)));
}

export interface BucketRecord {
  readonly key: Buffer;
  readonly label: number;
  readonly name: string;
  /** Why it was converted; empty where it was not. */
  readonly why: string;
  readonly content: Uint8Array;
}

/** Durable lengths of a bucket's two files. */
export type BucketLength = [entries: number, contents: number];

function paths(folder: string, split: string, bucket: number): readonly [entries: string, contents: string] {
  const stem = join(folder, `${split}-${String(bucket).padStart(2, "0")}`);
  return [`${stem}.entries`, `${stem}.contents`];
}

/** All buckets of a split, for writing. */
export class BucketWriter {
  readonly #files: readonly (readonly [entries: AppendFile, contents: AppendFile])[];

  /** @param lengths what is kept of each bucket */
  static async open(folder: string, split: string, lengths: readonly BucketLength[]): Promise<BucketWriter> {
    const files: AppendFile[] = [];
    try {
      for (const [bucket, pair] of lengths.entries()) {
        for (const [i, file] of paths(folder, split, bucket).entries())
          files.push(await AppendFile.open(file, pair[i]));
      }
    } catch (error) {
      for (const file of files) await file.close();
      throw error;
    }
    return new BucketWriter(lengths.map((_, bucket) => [files[2 * bucket], files[2 * bucket + 1]]));
  }

  private constructor(files: readonly (readonly [AppendFile, AppendFile])[]) {
    this.#files = files;
  }

  async add({ key, label, name, why, content }: BucketRecord): Promise<void> {
    const [entries, contents] = this.#files[bucketOf(key, this.#files.length)];
    const [nameBytes, whyBytes] = [Buffer.from(name), Buffer.from(why)];
    const entry = Buffer.alloc(ENTRY_BYTES);
    key.copy(entry);
    entry.writeUInt16LE(label, KEY_BYTES);
    entry.writeUInt16LE(nameBytes.length, KEY_BYTES + 2);
    entry.writeUInt16LE(whyBytes.length, KEY_BYTES + 4);
    entry.writeUInt32LE(content.length, KEY_BYTES + 8);
    await entries.append(entry);
    await contents.append(nameBytes, whyBytes, content);
  }

  /** All that was added is durable when this resolves. @returns the lengths of each bucket */
  async sync(): Promise<BucketLength[]> {
    await Promise.all(this.#files.flat().map((file) => file.sync()));
    return this.#files.map(([entries, contents]) => [entries.length, contents.length]);
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.flat().map((file) => file.close()));
  }
}

/** What is known of a record without reading its content. */
export interface BucketEntry {
  readonly key: Buffer;
  readonly label: number;
  readonly nameBytes: number;
  readonly whyBytes: number;
  readonly contentBytes: number;
  /** Of its name in the file of contents. */
  readonly at: number;
}

/** One bucket, for reading. */
export class BucketReader {
  readonly #contents: string;
  readonly #entries: string;
  #file: FileHandle | undefined;

  constructor(folder: string, split: string, bucket: number) {
    [this.#entries, this.#contents] = paths(folder, split, bucket);
  }

  /** In the order they were added. */
  async entries(): Promise<BucketEntry[]> {
    const bytes = await readFile(this.#entries).catch((error) => {
      throw storageError(error, this.#entries, "The unfinished store is damaged: remove it and begin again", "read");
    });
    let at = 0;
    return Array.from({ length: bytes.length / ENTRY_BYTES }, (_, i) => {
      const from = i * ENTRY_BYTES;
      const fields = bytes.subarray(from + KEY_BYTES, from + ENTRY_BYTES);
      const entry: BucketEntry = {
        key: bytes.subarray(from, from + KEY_BYTES),
        label: fields.readUInt16LE(0),
        nameBytes: fields.readUInt16LE(2),
        whyBytes: fields.readUInt16LE(4),
        contentBytes: fields.readUInt32LE(8),
        at,
      };
      at += entry.nameBytes + entry.whyBytes + entry.contentBytes;
      return entry;
    });
  }

  async record({ key, label, nameBytes, whyBytes, contentBytes, at }: BucketEntry): Promise<BucketRecord> {
    const bytes = Buffer.alloc(nameBytes + whyBytes + contentBytes);
    try {
      this.#file ??= await open(this.#contents, "r");
      for (let filled = 0; filled < bytes.length; ) {
        const { bytesRead } = await this.#file.read(bytes, filled, bytes.length - filled, at + filled);
        if (bytesRead === 0)
          throw new BitswarmError(
            "DATA_INVALID",
            `${this.#contents} ends at byte ${at + filled}: the unfinished store is damaged, remove it and begin again`,
          );
        filled += bytesRead;
      }
    } catch (error) {
      throw storageError(error, this.#contents, undefined, "read");
    }
    return {
      key,
      label,
      name: bytes.toString("utf8", 0, nameBytes),
      why: bytes.toString("utf8", nameBytes, nameBytes + whyBytes),
      content: bytes.subarray(nameBytes + whyBytes),
    };
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async remove(): Promise<void> {
    await this.close();
    for (const path of [this.#entries, this.#contents]) await rm(path, { force: true });
  }
}

/** Entries by their keys; a name that is there twice by what it holds, so that the source's order has no part in it. */
export async function inOrder(bucket: BucketReader): Promise<BucketEntry[]> {
  const entries = (await bucket.entries()).sort((a, b) => Buffer.compare(a.key, b.key));
  for (let from = 0; from < entries.length; ) {
    let to = from + 1;
    while (to < entries.length && entries[to].key.equals(entries[from].key)) to++;
    if (to - from > 1) {
      const alike = await Promise.all(
        entries.slice(from, to).map(async (entry) => ({ entry, content: (await bucket.record(entry)).content })),
      );
      alike.sort((a, b) => Buffer.compare(a.content, b.content) || a.entry.label - b.entry.label);
      entries.splice(from, alike.length, ...alike.map(({ entry }) => entry));
    }
    from = to;
  }
  return entries;
}
