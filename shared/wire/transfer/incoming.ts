// The receiving half: one transfer at a time into one buffer of the announced size, and what to tell the sender of it.
// It outlives connections: an offer that comes again is answered by what arrived before.

import { BitswarmError } from "../../base/errors.ts";
import { CHUNK_BYTES, type Chunk, chunkCount, chunkLength } from "../chunk.ts";
import { ChunkSet, fullBitmap } from "../chunk-set.ts";
import { type Have, MOST_IN_FLIGHT } from "./chunk-sender.ts";
import { isLong, type Offer } from "./outgoing.ts";

/** Chunks that may be on their way to a receiver: 2 MiB, what a cut connection costs at most. */
export const WINDOW_CHUNKS = MOST_IN_FLIGHT;
/** Transfers that are over and whose late chunks are let pass. */
const REMEMBERED_TRANSFERS = 16;

/** `waiting` has no buffer yet: the receiver's memory is taken by others. */
type State<B extends ArrayBufferLike> =
  | { readonly kind: "none" }
  | { readonly kind: "waiting"; readonly offer: Offer }
  | {
      readonly kind: "receiving";
      readonly offer: Offer;
      /** Made when the first chunk is here: an offer alone, which costs its sender nothing, costs nothing. */
      buffer: Uint8Array<B> | undefined;
      readonly arrived: ChunkSet;
    };

export interface IncomingOptions<B extends ArrayBufferLike = ArrayBuffer> {
  /** Largest frame that can be due, in bytes. */
  readonly limitBytes: number;
  /**
   * A transfer that arrived whole may be wanted again: parameters that were let go meanwhile. Else it is answered as
   * whole.
   */
  readonly repeats?: boolean;
  /** Makes the buffer of a transfer: `inOwnMemory`, or memory that threads share. */
  readonly allocate: (bytes: number) => Uint8Array<B>;
}

export const inOwnMemory = (bytes: number): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

export interface Taken<B extends ArrayBufferLike = ArrayBuffer> {
  /** Whether the chunk was news. */
  readonly fresh: boolean;
  readonly have: Have | undefined;
  /** The frame, once it is whole; the caller owns it. */
  readonly frame: Uint8Array<B> | undefined;
}

const nothing: Taken<never> = { fresh: false, have: undefined, frame: undefined };

export class Incoming<B extends ArrayBufferLike = ArrayBuffer> {
  readonly #limitBytes: number;
  readonly #repeats: boolean;
  readonly #allocate: IncomingOptions<B>["allocate"];
  #state: State<B> = { kind: "none" };
  /** Transfers that arrived whole or were abandoned, and their chunks; the oldest first. */
  readonly #over = new Map<number, { readonly bytes: number; readonly whole: boolean }>();

  constructor({ limitBytes, repeats = false, allocate }: IncomingOptions<B>) {
    this.#allocate = allocate;
    this.#limitBytes = limitBytes;
    this.#repeats = repeats;
  }

  /** The transfer that is under way. */
  get offer(): Offer | undefined {
    return this.#state.kind === "none" ? undefined : this.#state.offer;
  }

  /** Bytes of the buffer that is held, or promised. */
  get heldBytes(): number {
    return this.#state.kind === "receiving" ? this.#state.offer.bytes : 0;
  }

  /** Whether the sender has credit and owes chunks. */
  get expecting(): boolean {
    return this.#state.kind === "receiving";
  }

  /**
   * Takes an offer; one of a new transfer replaces what is unfinished. Where it is told to wait, `admit` goes on with
   * it.
   * @param reserve asked for the buffer's bytes, once; false where there is no room for it now
   * @throws FRAME_TOO_LARGE, TRANSFER_INVALID
   */
  offered(offer: Offer, reserve: (bytes: number) => boolean): Have {
    const { transfer, bytes } = offer;
    const over = this.#over.get(transfer);
    const known = over?.bytes ?? (this.offer?.transfer === transfer ? this.offer.bytes : bytes);
    if (known !== bytes) {
      throw new BitswarmError(
        "TRANSFER_INVALID",
        `transfer ${transfer} was offered with ${known} bytes, now with ${bytes}`,
      );
    }
    if (bytes > this.#limitBytes) {
      throw new BitswarmError(
        "FRAME_TOO_LARGE",
        `transfer ${transfer} offers ${bytes} bytes: the limit is ${this.#limitBytes}`,
      );
    }
    if (!isLong(bytes)) {
      throw new BitswarmError(
        "TRANSFER_INVALID",
        `transfer ${transfer} offers ${bytes} bytes: up to ${CHUNK_BYTES} a frame is one message`,
      );
    }
    if (over?.whole && !this.#repeats) return { transfer, chunks: fullBitmap(chunkCount(bytes)), credit: 0 };
    this.#over.delete(transfer);
    if (this.offer?.transfer !== transfer) {
      this.abandon();
      this.#state = { kind: "waiting", offer };
    }
    if (this.#state.kind === "waiting" && reserve(bytes)) return this.admit();
    return this.#have();
  }

  /** Gives the transfer that waits its buffer, which its owner has reserved. */
  admit(): Have {
    if (this.#state.kind !== "waiting") throw new RangeError("no transfer waits for its buffer");
    const { offer } = this.#state;
    const arrived = new ChunkSet(chunkCount(offer.bytes));
    this.#state = { kind: "receiving", offer, buffer: undefined, arrived };
    return this.#have();
  }

  /** Takes a chunk. Repeated ones, and those of a transfer that is over, change nothing. @throws TRANSFER_INVALID */
  take({ transfer, totalBytes, index, payload }: Chunk): Taken<B> {
    if (this.#over.has(transfer)) return nothing;
    const state = this.#state;
    if (state.kind === "none" || state.offer.transfer !== transfer) {
      throw new BitswarmError("TRANSFER_INVALID", `a chunk of transfer ${transfer} came, which was not offered`);
    }
    if (state.kind === "waiting") {
      throw new BitswarmError("TRANSFER_INVALID", `a chunk of transfer ${transfer} came without credit; wait for it`);
    }
    const { bytes } = state.offer;
    if (totalBytes !== bytes) {
      throw new BitswarmError(
        "TRANSFER_INVALID",
        `transfer ${transfer} has ${bytes} bytes; its chunk says ${totalBytes}`,
      );
    }
    const { count } = state.arrived;
    if (index >= count || payload.length !== chunkLength(bytes, index)) {
      throw new BitswarmError(
        "TRANSFER_INVALID",
        `transfer ${transfer} has ${count} chunks of ${CHUNK_BYTES} bytes, the last of ${chunkLength(bytes, count - 1)}; chunk ${index} came with ${payload.length}`,
      );
    }
    if (!state.arrived.add(index)) return { ...nothing, have: this.#have() };
    state.buffer ??= this.#allocate(bytes);
    state.buffer.set(payload, index * CHUNK_BYTES);
    const have = this.#have();
    if (!state.arrived.full) return { fresh: true, have, frame: undefined };
    this.#end(transfer, bytes, true);
    return { fresh: true, have, frame: state.buffer };
  }

  /** Lets the unfinished transfer go. */
  abandon(): void {
    if (this.#state.kind !== "none") this.#end(this.#state.offer.transfer, this.#state.offer.bytes, false);
  }

  #have(): Have {
    const { offer } = this;
    if (!offer || this.#state.kind === "none") throw new RangeError("there is no transfer to tell of");
    const chunks = this.#state.kind === "waiting" ? new ChunkSet(chunkCount(offer.bytes)) : this.#state.arrived;
    const credit = this.#state.kind === "waiting" ? 0 : WINDOW_CHUNKS;
    return { transfer: offer.transfer, chunks: chunks.bitmap, credit };
  }

  #end(transfer: number, bytes: number, whole: boolean): void {
    this.#state = { kind: "none" };
    this.#over.set(transfer, { bytes, whole });
    for (const oldest of this.#over.keys()) {
      if (this.#over.size <= REMEMBERED_TRANSFERS) break;
      this.#over.delete(oldest);
    }
  }
}
