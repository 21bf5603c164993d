// The chunks that a virtual volunteer keeps on its device, without their bytes: what it would download of its leases is
// counted, the least recently used go where there is no room. It outlives the pages that its volunteer opens.

import type { Dataset } from "../../shared/data/dataset.ts";
import type { Decoding } from "../../shared/samples/decoding.ts";
import { sampleSource } from "../../shared/samples/sample-source.ts";
import type { ContentStore } from "../../worker/content/content-store.ts";
import { chunkKey } from "../../worker/content/held-chunks.ts";
import { KeptContent } from "../../worker/content/kept-content.ts";
import { noSamples } from "./known-trainer.ts";

/** Stands for the bytes of a chunk: room is counted in chunks. */
const CHUNK = new Uint8Array(1);

export class ChunkShelf {
  readonly #entries = new Map<string, number>();
  readonly #store: ContentStore;
  readonly #downloaded: (chunks: number) => void;
  #uses = 0;

  /** @param capacity chunks @param downloaded hears of what is fetched of the training split */
  constructor(capacity: number, downloaded: (chunks: number) => void) {
    this.#downloaded = downloaded;
    this.#store = {
      capBytes: capacity,
      list: async () => [...this.#entries].map(([key, usedAt]) => ({ key, bytes: CHUNK.length, usedAt })),
      read: async (key) => {
        if (!this.#entries.has(key)) return undefined;
        this.#entries.set(key, ++this.#uses);
        return CHUNK;
      },
      write: async (key) => {
        this.#entries.set(key, ++this.#uses);
      },
      remove: async (key) => {
        this.#entries.delete(key);
      },
    };
  }

  open(): Promise<KeptContent | undefined> {
    return KeptContent.open(this.#store);
  }

  /** Looks at no sample either, but takes from the shelf, or downloads, the chunks that a lease's samples lie in. */
  decoding(dataset: Dataset, kept: KeptContent | undefined): Decoding {
    const { piecesOf } = sampleSource(dataset);
    return {
      ...noSamples,
      piecesOf: (split, samples) => {
        for (const { shard, chunk } of piecesOf(split, samples)) {
          const key = chunkKey(shard.sha256, chunk ?? 0);
          if (this.#entries.has(key)) {
            kept?.read(key);
            continue;
          }
          if (split === "train") this.#downloaded(1);
          kept?.keep(key, CHUNK);
        }
        return [];
      },
    };
  }
}
