// Which chunks of the training split each worker holds: what it has said, and what it was leased since. Where that is
// wrong, somebody else is asked first, and nothing else comes of it.

import type { WorkerId } from "../../../shared/base/ids.ts";
import type { Held } from "../../round/held-first.ts";

/** Holders of a chunk are counted up to here. */
const MOST_HOLDERS = 0xffff;

export class Holdings implements Held {
  readonly #chunks: number;
  /** A bit a chunk, the lowest of a byte first; of who holds any. */
  readonly #bits = new Map<WorkerId, Uint8Array>();
  readonly #holders: Uint16Array;

  /** @param chunks of the training split; 0 where workers do not say what they hold */
  constructor(chunks: number) {
    this.#chunks = chunks;
    this.#holders = new Uint16Array(chunks);
  }

  /** Whether anybody holds anything. */
  get any(): boolean {
    return this.#bits.size > 0;
  }

  /** Bytes that are kept for workers. */
  get bytes(): number {
    return this.#bits.size * Math.ceil(this.#chunks / 8);
  }

  of(worker: WorkerId): Uint8Array | undefined {
    return this.#bits.get(worker);
  }

  holders(chunk: number): number {
    return this.#holders[chunk];
  }

  /** A worker says of the chunks from `from` on, a multiple of 8, which it holds; bits behind the last are not read. */
  told(worker: WorkerId, from: number, bits: Uint8Array): void {
    const own = this.#own(worker);
    const begin = from >> 3;
    for (let i = 0; i < bits.length && begin + i < own.length; i++) {
      const changed = own[begin + i] ^ bits[i];
      if (changed === 0) continue;
      own[begin + i] = bits[i];
      // The lowest bit first, and only those that are another than before.
      for (let left = changed; left !== 0; left &= left - 1) {
        const bit = 31 - Math.clz32(left & -left);
        this.#count(8 * (begin + i) + bit, (bits[i] >> bit) & 1 ? 1 : -1);
      }
    }
  }

  /** A worker was leased what lies in these chunks, and fetches what it does not hold of them. */
  leased(worker: WorkerId, chunks: Iterable<number>): void {
    const own = this.#own(worker);
    for (const chunk of chunks) {
      const bit = 1 << (chunk & 7);
      if (own[chunk >> 3] & bit) continue;
      own[chunk >> 3] |= bit;
      this.#count(chunk, 1);
    }
  }

  /** A worker is there no more. */
  left(worker: WorkerId): void {
    const bits = this.#bits.get(worker);
    if (!bits) return;
    this.told(worker, 0, new Uint8Array(bits.length));
    this.#bits.delete(worker);
  }

  #own(worker: WorkerId): Uint8Array {
    const known = this.#bits.get(worker);
    if (known) return known;
    const fresh = new Uint8Array(Math.ceil(this.#chunks / 8));
    this.#bits.set(worker, fresh);
    return fresh;
  }

  #count(chunk: number, by: 1 | -1): void {
    if (chunk >= this.#chunks) return;
    const count = this.#holders[chunk] + by;
    if (count <= MOST_HOLDERS) this.#holders[chunk] = count;
  }
}
