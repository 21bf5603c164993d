// A file that grows by what it is given, in one write at a time; what goes wrong with it is told once, at the end.

import type { FileHandle } from "node:fs/promises";

export class GrowingFile {
  readonly #file: FileHandle;
  #bytes: number;
  #failure: Error | undefined;

  /** @param bytes how far it is written @param file taken over */
  constructor(file: FileHandle, bytes: number) {
    this.#file = file;
    this.#bytes = bytes;
  }

  /** How far it is written. */
  get bytes(): number {
    return this.#bytes;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get file(): FileHandle {
    return this.#file;
  }

  /** Nothing more is written once a write has failed: what came after a gap would be no history. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.#try(async () => {
      for (let written = 0; written < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, written, bytes.length - written, this.#bytes + written);
        written += bytesWritten;
      }
      this.#bytes += bytes.length;
    });
  }

  /** Takes back what stands behind this many bytes. */
  async cut(bytes: number): Promise<void> {
    await this.#try(async () => {
      await this.#file.truncate(bytes);
      this.#bytes = bytes;
    });
  }

  async sync(): Promise<void> {
    await this.#try(() => this.#file.datasync());
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #try(act: () => Promise<void>): Promise<void> {
    if (this.#failure) return;
    try {
      await act();
    } catch (error) {
      this.#failure = error as Error;
      // Half a line must not be taken for one.
      await this.#file.truncate(this.#bytes).catch(() => undefined);
    }
  }
}
