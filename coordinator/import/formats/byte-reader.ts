// The bytes of a file one after another, unpacked where they are gzip's: what archives of any size are read through.

import { createReadStream, type ReadStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { storageError } from "../../disk/storage-error.ts";

/** Bytes of one read from the disk, where all of a file is read. */
export const BLOCK_BYTES = 2 ** 20;

export interface ByteReader {
  readonly path: string;
  /** Bytes of the file on the disk. */
  readonly fileBytes: number;
  /** Of the next byte, unpacked. */
  readonly offset: number;
  /** Bytes of the file on the disk that have been taken so far. */
  readonly taken: number;
  /** Where the file is packed, what it unpacks to is known at its end alone. */
  readonly end: number | undefined;
  /** As many bytes in memory of their own; fewer where the file ends. */
  read(bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /** @returns how many were passed over: fewer where the file ends */
  skip(bytes: number): Promise<number>;
  close(): Promise<void>;
}

export interface ReaderOptions {
  /** Bytes of one read: few where most of the file is passed over. */
  readonly block?: number;
  /** Offset of the first byte that is wanted, unpacked. */
  readonly from?: number;
  /** Is given every byte of the file as it lies on the disk, in order; nothing is passed over without reading it. */
  readonly eachByte?: (bytes: Uint8Array) => void;
}

class FileReader implements ByteReader {
  readonly path: string;
  readonly fileBytes: number;
  readonly #file: FileHandle;
  readonly #eachByte: ReaderOptions["eachByte"];
  readonly #block: Uint8Array;
  /** Of the block's first byte, and how many of it are filled. */
  #begin = 0;
  #filled = 0;
  #offset = 0;

  constructor(
    path: string,
    file: FileHandle,
    bytes: number,
    { block = BLOCK_BYTES, from = 0, eachByte }: ReaderOptions,
  ) {
    this.path = path;
    this.fileBytes = bytes;
    this.#file = file;
    this.#eachByte = eachByte;
    this.#block = new Uint8Array(block);
    this.#begin = from;
    this.#offset = from;
  }

  get offset(): number {
    return this.#offset;
  }

  get taken(): number {
    return this.#offset;
  }

  get end(): number {
    return this.fileBytes;
  }

  async #into(target: Uint8Array, at: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const { bytesRead } = await this.#file.read(target, filled, target.length - filled, at + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    this.#eachByte?.(target.subarray(0, filled));
    return filled;
  }

  async #next(): Promise<number> {
    this.#begin += this.#filled;
    this.#filled = await this.#into(this.#block, this.#begin);
    return this.#filled;
  }

  async read(bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const result = new Uint8Array(Math.max(0, Math.min(bytes, this.fileBytes - this.#offset)));
    try {
      let got = 0;
      while (got < result.length) {
        const inBlock = this.#begin + this.#filled - this.#offset;
        if (inBlock === 0 && result.length - got >= this.#block.length) {
          // Straight into its place: no block is worth filling for it.
          const filled = await this.#into(result.subarray(got), this.#offset);
          this.#offset += filled;
          this.#begin = this.#offset;
          this.#filled = 0;
          got += filled;
          break;
        }
        if (inBlock === 0 && (await this.#next()) === 0) break;
        const at = this.#offset - this.#begin;
        const some = Math.min(this.#filled - at, result.length - got);
        result.set(this.#block.subarray(at, at + some), got);
        this.#offset += some;
        got += some;
      }
      return got === result.length ? result : result.slice(0, got);
    } catch (error) {
      throw storageError(error, this.path, undefined, "read");
    }
  }

  async skip(bytes: number): Promise<number> {
    const some = Math.max(0, Math.min(bytes, this.fileBytes - this.#offset));
    if (this.#eachByte !== undefined) {
      for (let left = some; left > 0; ) left -= (await this.read(Math.min(left, BLOCK_BYTES))).length || left;
      return some;
    }
    this.#offset += some;
    if (this.#offset > this.#begin + this.#filled) {
      this.#begin = this.#offset;
      this.#filled = 0;
    }
    return some;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

class GzipReader implements ByteReader {
  readonly path: string;
  readonly fileBytes: number;
  readonly end = undefined;
  readonly #stream: ReadStream;
  readonly #pieces: AsyncIterator<Buffer>;
  #piece: Uint8Array = new Uint8Array();
  #offset = 0;

  constructor(path: string, bytes: number) {
    this.path = path;
    this.fileBytes = bytes;
    this.#stream = createReadStream(path, { highWaterMark: 2 ** 18 });
    const gunzip = createGunzip({ chunkSize: 2 ** 18 });
    this.#stream.on("error", (error) => gunzip.destroy(error));
    this.#pieces = this.#stream.pipe(gunzip)[Symbol.asyncIterator]();
  }

  get offset(): number {
    return this.#offset;
  }

  get taken(): number {
    return this.#stream.bytesRead;
  }

  async #next(): Promise<boolean> {
    try {
      const { value, done } = await this.#pieces.next();
      if (done) return false;
      this.#piece = value;
      return true;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code?.startsWith("Z_") !== true) throw storageError(error, this.path, undefined, "read");
      const half =
        code === "Z_BUF_ERROR" ? "ends in the middle of its gzip stream, as a copy that was cut off does" : message;
      throw new BitswarmError(
        "DATA_INVALID",
        `${this.path}: ${half} (${this.taken} bytes of ${this.fileBytes} were read, which unpack to ${this.#offset}); get the file again`,
        { cause: error },
      );
    }
  }

  /** Gives pieces to a taker until it has as many bytes. */
  async #take(bytes: number, taker: (piece: Uint8Array, at: number) => void): Promise<number> {
    let got = 0;
    while (got < bytes) {
      if (this.#piece.length === 0 && !(await this.#next())) break;
      const some = this.#piece.subarray(0, bytes - got);
      taker(some, got);
      this.#piece = this.#piece.subarray(some.length);
      this.#offset += some.length;
      got += some.length;
    }
    return got;
  }

  async read(bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const result = new Uint8Array(bytes);
    const got = await this.#take(bytes, (piece, at) => result.set(piece, at));
    return got === bytes ? result : result.slice(0, got);
  }

  async skip(bytes: number): Promise<number> {
    return this.#take(bytes, () => {});
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
    this.#stream.destroy();
  }
}

/**
 * Opens a file; its first bytes say whether it is packed.
 * @throws DATA_MISSING, DATA_INVALID where the file is empty, STORAGE_FAILED
 */
export async function openBytes(path: string, options: ReaderOptions = {}): Promise<ByteReader> {
  const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw storageError(error, path, undefined, "read");
    throw new BitswarmError("DATA_MISSING", `${path} is no longer there: put it back, and try again`);
  });
  if (!facts.isFile()) throw new BitswarmError("DATA_INVALID", `${path} is no plain file: put the file itself there`);
  if (facts.size === 0) throw new BitswarmError("DATA_INVALID", `${path} has 0 bytes: get the file again`);
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EACCES" && error.code !== "EPERM") throw storageError(error, path, undefined, "read");
    throw new BitswarmError("DATA_INVALID", `${path} cannot be read (${error.code}): let this user read it`);
  });
  const head = new Uint8Array(2);
  await file.read(head, 0, 2, 0);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return new FileReader(path, file, facts.size, options);
  await file.close();
  const reader = new GzipReader(path, facts.size);
  if (options.from !== undefined) await reader.skip(options.from);
  return reader;
}
