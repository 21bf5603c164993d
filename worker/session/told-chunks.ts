// Tells the coordinator which chunks of the training split this worker needs no download for: all when it joins or
// comes back, and later what it let go. What it is leased the coordinator adds by itself.

import type { Clock } from "../../shared/base/clock.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { firstChunks, toldChunks } from "../../shared/data/train-chunks.ts";
import { MAX_CHUNK_BITS_BYTES, type WorkerMessage } from "../../shared/wire/protocol.ts";
import type { HeldChunks } from "../content/held-chunks.ts";

/** Between two times that what was let go is told. */
export const TELL_EVERY_MS = 60_000;

export interface ToldChunksOptions {
  readonly dataset: Dataset;
  readonly cache: { readonly holds: HeldChunks };
  readonly clock: Pick<Clock, "every">;
  readonly send: (message: WorkerMessage) => void;
}

export class ToldChunks {
  readonly #options: ToldChunksOptions;
  readonly #chunks: number;
  readonly #first: ReadonlyMap<string, number>;
  /** What the coordinator may think is held: told of, or seen here since. */
  #known: Uint8Array;
  readonly #stop: () => void;

  constructor(options: ToldChunksOptions) {
    const { dataset, clock } = options;
    this.#options = options;
    this.#chunks = toldChunks(dataset);
    this.#first = new Map([...firstChunks(dataset)].map(([{ sha256 }, first]) => [sha256, first]));
    this.#known = new Uint8Array(Math.ceil(this.#chunks / 8));
    this.#stop = this.#chunks > 0 ? clock.every(TELL_EVERY_MS, () => this.#tellLost()) : () => undefined;
  }

  /** The coordinator knows nothing, or not what was on its way as a connection was lost. */
  tellAll(): void {
    const held = this.#bits();
    this.#tell(held, (part, before) => part.some((byte) => byte !== 0) || before.some((byte) => byte !== 0));
    this.#known = held;
  }

  close(): void {
    this.#stop();
  }

  #tellLost(): void {
    const held = this.#bits();
    this.#tell(held, (part, before) => before.some((byte, i) => (byte & ~part[i]) !== 0));
    this.#known = held;
  }

  /** @param due whether a part is told, by what is held of it and what was known before */
  #tell(held: Uint8Array, due: (part: Uint8Array, before: Uint8Array) => boolean): void {
    for (let at = 0; at < held.length; at += MAX_CHUNK_BITS_BYTES) {
      const [part, before] = [held, this.#known].map((bits) => bits.slice(at, at + MAX_CHUNK_BITS_BYTES));
      if (due(part, before)) this.#options.send({ type: "chunks", from: 8 * at, bits: part });
    }
  }

  #bits(): Uint8Array {
    const bits = new Uint8Array(this.#known.length);
    for (const [shard, chunks] of this.#options.cache.holds) {
      const first = this.#first.get(shard);
      if (first === undefined) continue;
      for (const chunk of chunks) {
        const number = first + chunk;
        if (number < this.#chunks) bits[number >> 3] |= 1 << (number & 7);
      }
    }
    return bits;
  }
}
