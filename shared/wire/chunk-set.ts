// Which chunks of a transfer have arrived, as a bitmap: what a receiver tells after a reconnect. Merging two is their
// union, so that messages about it may be lost, repeated or come out of order (a state-based grow-only set: Shapiro et
// al., CRDTs, 2011).

import { chunkCount } from "./chunk.ts";

/** Bytes of the longest bitmap: that of a frame of 4 GiB, the most that a header can announce. */
export const MAX_BITMAP_BYTES = chunkCount(2 ** 32) / 8;

export class ChunkSet {
  /** Chunks of the whole transfer. */
  readonly count: number;
  /** Chunks in the set. */
  #size = 0;
  readonly #bits: Uint8Array<ArrayBuffer>;

  constructor(count: number) {
    this.count = count;
    this.#bits = new Uint8Array(Math.ceil(count / 8));
  }

  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#size === this.count;
  }

  /** Bit `i & 7` of byte `i >> 3` is chunk i; a copy. */
  get bitmap(): Uint8Array<ArrayBuffer> {
    return this.#bits.slice();
  }

  has(index: number): boolean {
    return ((this.#bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** Whether the chunk was not there before. */
  add(index: number): boolean {
    if (this.has(index)) return false;
    this.#bits[index >> 3]! |= 1 << (index & 7);
    this.#size++;
    return true;
  }

  /** Adds the chunks of a bitmap that a peer sent; whether it fits this transfer. */
  merge(bitmap: Uint8Array): boolean {
    if (bitmap.length !== this.#bits.length) return false;
    const spare = bitmap.length * 8 - this.count;
    if (spare > 0 && bitmap[bitmap.length - 1]! >> (8 - spare) !== 0) return false;
    for (let index = 0; index < this.count; index++) {
      if ((bitmap[index >> 3]! & (1 << (index & 7))) !== 0) this.add(index);
    }
    return true;
  }
}

/** The bitmap of a transfer that arrived whole. */
export function fullBitmap(count: number): Uint8Array<ArrayBuffer> {
  const set = new ChunkSet(count);
  for (let index = 0; index < count; index++) set.add(index);
  return set.bitmap;
}
