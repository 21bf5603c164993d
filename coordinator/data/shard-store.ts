// Shards as files named by their content, so that a run's data never have to fit into memory and equal shards are kept
// once.

import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Shard } from "../../shared/data/dataset.ts";
import { contentHash } from "../disk/content-hash.ts";
import { diskFiles, type FileOperations, writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { StoredFile } from "../disk/stored-file.ts";

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

  /**
   * Keeps a shard; nothing is written where it is there already, byte for byte.
   * @param sha256 its name where that is not the hash of all of it
   * @throws STORAGE_FAILED
   */
  async put(bytes: Uint8Array, sha256 = contentHash(bytes)): Promise<Pick<Shard, "sha256" | "bytes">> {
    const path = this.#path(sha256);
    if (!(await this.#holds(path, bytes))) {
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
  async #holds(path: string, bytes: Uint8Array): Promise<boolean> {
    const found = await stat(path).catch(() => undefined);
    return found?.size === bytes.length && (await readFile(path)).equals(bytes);
  }

  /** The shard of this name and length; undefined where the file is gone or another. */
  async find({ sha256, bytes }: Pick<Shard, "sha256" | "bytes">): Promise<StoredFile | undefined> {
    const path = this.#path(sha256);
    const found = await stat(path).catch(() => undefined);
    return found?.size === bytes ? new StoredFile(path, bytes) : undefined;
  }
}
