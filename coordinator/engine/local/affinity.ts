// Asks for each microbatch of a training round first who holds its chunks. It changes who computes what, and never
// what is computed.

import type { WorkerId } from "../../../shared/base/ids.ts";
import type { Range } from "../../../shared/base/intervals.ts";
import { chunkSamples, type Dataset, storedSamples } from "../../../shared/data/dataset.ts";
import { toldChunks } from "../../../shared/data/train-chunks.ts";
import { sampleOrder } from "../../../shared/samples/sample-order.ts";
import { heldFirst } from "../../round/held-first.ts";
import { chosenSlots, plainSlots, type Slots } from "../../round/slots.ts";
import type { RoundPlan } from "../../training/round-plan.ts";
import { Holdings } from "./holdings.ts";

export interface AffinityOptions {
  /** `lease.affinity` of the configuration. */
  readonly wanted: boolean;
  readonly seed: number;
  readonly microbatch: number;
  readonly dataset: Dataset;
}

export class Affinity {
  readonly #options: AffinityOptions;
  readonly #holdings: Holdings;
  readonly #chunks: number;
  /** Chunks of positions in the round that is open; undefined where nobody is asked first. */
  #chunksOf: ((ranges: readonly Range[]) => readonly number[]) | undefined;

  constructor(options: AffinityOptions) {
    this.#options = options;
    this.#chunks = options.wanted ? toldChunks(options.dataset) : 0;
    this.#holdings = new Holdings(this.#chunks);
  }

  /** Bytes that are kept for workers. */
  get bytes(): number {
    return this.#holdings.bytes;
  }

  /** A worker says of the chunks from `from` on which it holds. */
  told(worker: WorkerId, from: number, bits: Uint8Array): void {
    if (this.#chunks > 0) this.#holdings.told(worker, from, bits);
  }

  /** A worker is there no more. */
  left(worker: WorkerId): void {
    this.#holdings.left(worker);
  }

  /** A worker was leased positions of the open round. */
  leased(worker: WorkerId, ranges: readonly Range[]): void {
    if (this.#chunksOf) this.#holdings.leased(worker, this.#chunksOf(ranges));
  }

  /** Slots of a round that opens. */
  open({ ranges, terms }: Pick<RoundPlan, "ranges" | "terms">): Slots {
    this.#chunksOf = undefined;
    if (this.#chunks === 0 || terms.split === "test") return plainSlots(ranges);
    const { seed, dataset, microbatch } = this.#options;
    const chunk = chunkSamples(dataset.format);
    const sampleAt = sampleOrder(seed, dataset, terms);
    const stored = storedSamples(dataset.train);
    const chunksOf = (parts: readonly Range[]) => {
      const chunks: number[] = [];
      for (const { from, to } of parts) {
        // Samples of one chunk stand side by side, from a multiple of its size on; so they do in every draw.
        for (let at = from; at < to; ) {
          chunks.push(Math.floor((sampleAt(at) % stored) / chunk));
          const within = at % stored;
          at += Math.min(stored, chunk * (Math.floor(within / chunk) + 1)) - within;
        }
      }
      return chunks;
    };
    this.#chunksOf = chunksOf;
    return chosenSlots(ranges, microbatch, (microbatches) => {
      return heldFirst(
        microbatches.map((one) => chunksOf([one])),
        this.#holdings,
      );
    });
  }
}
