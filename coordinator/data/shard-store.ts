// Shards as files named by their content, so that a run's data never have to fit into memory and equal shards are kept
// once.

import { open, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Shard } from "../../shared/data/dataset.ts";
import { contentHash } from "../disk/content-hash.ts";
import { diskFiles, type FileOperations, writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";

/** Bytes that are read from the disk for a download at a time. */
const READ_BYTES = 2 ** 18;

/** A shard that is there. */
export interface StoredShard {
  readonly bytes: number;
  /**
   * Its bytes from the first on. Nothing is opened before somebody reads; a reader that cancels lets go of the file.
   */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
}

/**
 * `bitswarm/shards` in XDG_CACHE_HOME (XDG Base Directory Specification), else in ~/.cache. Safe to remove while no run
 * is on.
 */
export function shardFolder(environment: Readonly<Record<string, string | undefined>>): string {
  const { XDG_CACHE_HOME: named } = environment;
  return join(named && isAbsolute(named) ? named : join(homedir(), ".cache"), "bitswarm", "shards");
}

export class ShardStore {
  readonly #folder: string;
  readonly #files: FileOperations;

  constructor(folder: string, files: FileOperations = diskFiles) {
    this.#folder = folder;
    this.#files = files;
  }

  #path(sha256: string): string {
    // Folders of a few hundred files each, however many shards there are.
    return join(this.#folder, sha256.slice(0, 2), sha256);
  }

  /** Keeps a shard; nothing is written where it is there already, byte for byte. @throws STORAGE_FAILED */
  async put(bytes: Uint8Array): Promise<Pick<Shard, "sha256" | "bytes">> {
    const sha256 = contentHash(bytes);
    const path = this.#path(sha256);
    if (!(await this.#holds(path, sha256, bytes.length))) {
      try {
        await this.#files.makeDirectory(join(path, ".."));
        await writeDurably(path, bytes, undefined, this.#files);
      } catch (error) {
        throw storageError(error, path, "Make room, or let XDG_CACHE_HOME name a folder with more of it");
      }
    }
    return { sha256, bytes: bytes.length };
  }

  /** A damaged file under the right name would otherwise stay for ever. */
  async #holds(path: string, sha256: string, bytes: number): Promise<boolean> {
    const found = await stat(path).catch(() => undefined);
    if (found?.size !== bytes) return false;
    return contentHash(await readFile(path)) === sha256;
  }

  /** The shard of this name and length; undefined where the file is gone or another. */
  async find({ sha256, bytes }: Pick<Shard, "sha256" | "bytes">): Promise<StoredShard | undefined> {
    const path = this.#path(sha256);
    const found = await stat(path).catch(() => undefined);
    return found?.size === bytes ? { bytes, stream: () => fileStream(path) } : undefined;
  }
}

function fileStream(path: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  return new ReadableStream(
    {
      async pull(controller) {
        file ??= await open(path, "r");
        const buffer = new Uint8Array(READ_BYTES);
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES);
        if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
        await file.close();
        controller.close();
      },
      async cancel() {
        await file?.close();
      },
    },
    // Without this the first piece is read, and the file held open, for an answer that nobody reads.
    { highWaterMark: 0 },
  );
}
