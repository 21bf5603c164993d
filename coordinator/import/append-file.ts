// A file that only grows: what is added waits in memory for a while, and what is durable is known by its length, so
// that whoever goes on later cuts off what came after.

import { type FileHandle, open } from "node:fs/promises";
import { BitswarmError } from "../../shared/base/errors.ts";
import { storageError } from "../disk/storage-error.ts";

/** Bytes that wait before they are written. */
const WAITING_BYTES = 2 ** 18;

/** What to do about a disk that is full. */
export const GO_ON = "Make room, and give the same command again: it goes on";

export class AppendFile {
  readonly path: string;
  readonly #file: FileHandle;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #written: number;
  #dirty = false;

  /**
   * @param length what is kept of the file; 0 of one that is not there
   * @throws DATA_INVALID for a file that is shorter, STORAGE_FAILED
   */
  static async open(path: string, length: number): Promise<AppendFile> {
    try {
      const file = await open(path, length === 0 ? "w+" : "r+");
      const { size } = await file.stat();
      if (size < length) {
        await file.close();
        throw new BitswarmError(
          "DATA_INVALID",
          `${path} has ${size} bytes, ${length} were written: the unfinished store is damaged, remove it and begin again`,
        );
      }
      if (size > length) await file.truncate(length);
      return new AppendFile(path, file, length);
    } catch (error) {
      throw storageError(error, path, GO_ON);
    }
  }

  private constructor(path: string, file: FileHandle, length: number) {
    this.path = path;
    this.#file = file;
    this.#written = length;
  }

  /** With what waits. */
  get length(): number {
    return this.#written + this.#waitingBytes;
  }

  /** @param parts are not changed until they are written */
  async append(...parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      this.#waiting.push(part);
      this.#waitingBytes += part.length;
    }
    if (this.#waitingBytes >= WAITING_BYTES) await this.#write();
  }

  async #write(): Promise<void> {
    if (this.#waitingBytes === 0) return;
    const bytes = Buffer.concat(this.#waiting, this.#waitingBytes);
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, this.#written + at);
        at += bytesWritten;
      }
    } catch (error) {
      throw storageError(error, this.path, GO_ON);
    }
    this.#written += bytes.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#dirty = true;
  }

  /** All of it is on the disk when this resolves. */
  async sync(): Promise<void> {
    await this.#write();
    if (!this.#dirty) return;
    try {
      await this.#file.datasync();
    } catch (error) {
      throw storageError(error, this.path, GO_ON);
    }
    this.#dirty = false;
  }

  async close(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }
}
