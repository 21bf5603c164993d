// The sending half of one transfer: which chunk may go next. Knows no socket: chunks are asked for, what the receiver
// says is told.

import { BitswarmError } from "../../base/errors.ts";
import { chunkCount, encodeChunk } from "../chunk.ts";
import { ChunkSet } from "../chunk-set.ts";

/** Chunks that are sent ahead of the receiver's word, whatever it gives credit for: more would wait in the socket. */
export const MOST_IN_FLIGHT = 8;

/**
 * A frame that is too long for one message. One object may serve many transfers at once, which then share its chunks.
 */
export class ChunkedFrame {
  /** The number of every transfer of this frame. */
  readonly transfer: number;
  readonly bytes: Uint8Array;
  readonly #shared: boolean;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];

  /** @param shared keep the encoded chunks: the same parameters go to every worker, and each checksum is made once */
  constructor(transfer: number, bytes: Uint8Array, shared = false) {
    this.transfer = transfer;
    this.bytes = bytes;
    this.#shared = shared;
  }

  chunk(index: number): Uint8Array<ArrayBuffer> {
    const kept = this.#chunks[index];
    if (kept) return kept;
    const chunk = encodeChunk(this.transfer, this.bytes, index);
    if (this.#shared) this.#chunks[index] = chunk;
    return chunk;
  }
}

/** What a receiver tells of a transfer. */
export interface Have {
  readonly transfer: number;
  /** Bitmap of the chunks that it has. */
  readonly chunks: Uint8Array;
  /** Chunks that may be on their way at once: sent over this connection, and not known to have arrived. */
  readonly credit: number;
}

export class ChunkSender {
  readonly frame: ChunkedFrame;
  /** What the receiver is known to have. */
  readonly #arrived: ChunkSet;
  /** Sent over this connection and not known to have arrived. */
  readonly #inFlight = new Set<number>();
  #credit = 0;
  /** Chunks before this one were sent over this connection, or had arrived. */
  #next = 0;

  constructor(frame: ChunkedFrame) {
    this.frame = frame;
    this.#arrived = new ChunkSet(chunkCount(frame.bytes.length));
  }

  /** Whether the receiver has everything. */
  get done(): boolean {
    return this.#arrived.full;
  }

  /** Whether every chunk is on its way or there. */
  get written(): boolean {
    this.#skip();
    return this.#next >= this.#arrived.count;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Chunks that the receiver is known to have. */
  get arrived(): number {
    return this.#arrived.size;
  }

  /** The next chunk's message, or undefined where all are sent or the credit is used up. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#inFlight.size >= this.#credit || this.written) return undefined;
    const index = this.#next++;
    this.#inFlight.add(index);
    return this.frame.chunk(index);
  }

  /** Takes the receiver's word. @throws TRANSFER_INVALID for a bitmap of another transfer's length */
  told({ chunks, credit }: Omit<Have, "transfer">): void {
    if (!this.#arrived.merge(chunks)) {
      throw new BitswarmError(
        "TRANSFER_INVALID",
        `transfer ${this.frame.transfer} has ${this.#arrived.count} chunks; a bitmap of ${chunks.length} bytes came that cannot be of it`,
      );
    }
    for (const index of this.#inFlight) if (this.#arrived.has(index)) this.#inFlight.delete(index);
    this.#credit = Math.min(credit, MOST_IN_FLIGHT);
  }

  /** The connection is gone, and with it what was on its way: nothing is sent before the receiver tells what it has. */
  interrupted(): void {
    this.#inFlight.clear();
    this.#credit = 0;
    this.#next = 0;
  }

  #skip(): void {
    while (this.#next < this.#arrived.count && this.#arrived.has(this.#next)) this.#next++;
  }
}
