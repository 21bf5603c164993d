// A store as a folder on this machine.

import { createReadStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { commandText } from "../base/command-text.ts";
import { readPlainFile } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import {
  MANIFEST_FILE,
  MOST_MANIFEST_BYTES,
  parseManifest,
  SHARDS_FOLDER,
  type StoreManifest,
  UNFINISHED_FOLDER,
} from "./manifest.ts";
import type { ShardName, StoreReader } from "./store-reader.ts";

const isMissing = (error: unknown) => {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
};

export class LocalStore implements StoreReader {
  readonly where: string;

  constructor(folder: string) {
    this.where = folder;
  }

  /** The file of a shard, whether it is there or not. */
  shardPath({ sha256 }: Pick<ShardName, "sha256">): string {
    return join(this.where, SHARDS_FOLDER, sha256);
  }

  async manifest(): Promise<StoreManifest> {
    const path = join(this.where, MANIFEST_FILE);
    let bytes: Uint8Array;
    try {
      bytes = await readPlainFile(path, { code: "DATA_INVALID", mostBytes: MOST_MANIFEST_BYTES });
    } catch (error) {
      if (!isMissing(error)) throw storageError(error, path, undefined, "read");
      throw new BitswarmError("DATA_MISSING", await this.#whyNone());
    }
    return parseManifest(bytes, path);
  }

  async #whyNone(): Promise<string> {
    const begun = await stat(join(this.where, UNFINISHED_FOLDER)).catch(() => undefined);
    if (begun) return `${this.where} is a store whose import has not ended: give the same import command again`;
    const there = await stat(this.where).catch(() => undefined);
    const what = there ? `has no ${MANIFEST_FILE}, so it is no store` : "is not there";
    return `${this.where} ${what}: make one with \`${commandText("coordinator", ["import", "SOURCE", "--out", this.where])}\``;
  }

  async range(shard: ShardName, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const path = this.shardPath(shard);
    let file: FileHandle | undefined;
    try {
      file = await open(path, "r");
      const bytes = new Uint8Array(end - begin);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, begin + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      if (filled === bytes.length) return bytes;
      throw new BitswarmError(
        "DATA_INVALID",
        `${path} ends after ${begin + filled} bytes; expected ${shard.bytes}: copy the store anew`,
      );
    } catch (error) {
      if (!isMissing(error)) throw storageError(error, path, undefined, "read");
      throw new BitswarmError("DATA_MISSING", `${path} is gone: copy the store anew, or import the images again`);
    } finally {
      await file?.close();
    }
  }

  async *sideFile(name: string): AsyncGenerator<Uint8Array> {
    const path = join(this.where, name);
    try {
      yield* createReadStream(path) as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (!isMissing(error)) throw storageError(error, path, undefined, "read");
      throw new BitswarmError("DATA_MISSING", `${path} is gone: copy the store anew, or import the images again`);
    }
  }
}
