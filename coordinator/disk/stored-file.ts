// A file that is there, to be sent in whole or in part: nothing of it is in memory but the piece in hand.

import { open } from "node:fs/promises";

/** Bytes that are read from the disk at a time. */
const READ_BYTES = 2 ** 18;

/** Bytes that can be sent, whole or in part. */
export interface StoredBytes {
  readonly bytes: number;
  /** The file that they are in; none where they come from elsewhere. */
  readonly path?: string;
  /** Bytes [begin, end), all unless given. Nothing is opened before somebody reads. */
  stream(begin?: number, end?: number): ReadableStream<Uint8Array<ArrayBuffer>>;
}

export class StoredFile implements StoredBytes {
  readonly path: string;
  readonly bytes: number;

  constructor(path: string, bytes: number) {
    this.path = path;
    this.bytes = bytes;
  }

  /**
   * Bytes [begin, end). Nothing is opened before somebody reads; a reader that cancels lets go of the file. A file that
   * has become shorter breaks the stream.
   */
  stream(begin = 0, end = this.bytes): ReadableStream<Uint8Array<ArrayBuffer>> {
    const { path } = this;
    let file: Awaited<ReturnType<typeof open>> | undefined;
    let at = begin;
    return new ReadableStream(
      {
        async pull(controller) {
          file ??= await open(path, "r");
          const size = Math.min(READ_BYTES, end - at);
          const buffer = new Uint8Array(size);
          const { bytesRead } = size > 0 ? await file.read(buffer, 0, size, at) : { bytesRead: 0 };
          at += bytesRead;
          if (bytesRead > 0) controller.enqueue(buffer.subarray(0, bytesRead));
          if (bytesRead > 0 && at < end) return;
          await file.close();
          if (at < end) controller.error(new Error(`${path} ends after ${at} bytes; expected ${end}`));
          else controller.close();
        },
        async cancel() {
          await file?.close();
        },
      },
      // Without this the first piece is read, and the file held open, for an answer that nobody reads.
      { highWaterMark: 0 },
    );
  }
}
