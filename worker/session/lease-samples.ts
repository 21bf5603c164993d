// The samples of one lease, microbatch after microbatch: what comes next is fetched and decoded while the GPU computes,
// a few ahead and no more, so that memory does not grow with the lease.

import type { Range } from "../../shared/base/intervals.ts";
import type { HeldPieces } from "../../shared/data/piece.ts";
import { joinedChecksum } from "../../shared/samples/checksum.ts";
import type { Decoding } from "../../shared/samples/decoding.ts";
import type { DecodedMicrobatch, MicrobatchInput } from "../../shared/samples/microbatch.ts";
import { sampleOrder } from "../../shared/samples/sample-order.ts";
import { microbatchesOf } from "../../shared/wire/lease-ranges.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { DatasetCache } from "../content/dataset-cache.ts";
import type { TrainerRun } from "../trainer/trainer-contract.ts";

/** Microbatches that are decoded before they are asked for. */
export const DECODED_AHEAD = 3;
/** Those whose chunks are fetched before. */
export const FETCHED_AHEAD = 6;

export interface SampleResources extends Pick<TrainerRun, "config" | "dataset"> {
  readonly decoding: Decoding;
  readonly cache: Pick<DatasetCache, "hold">;
}

export class LeaseSamples {
  readonly #lease: LeaseMessage;
  readonly #run: SampleResources;
  readonly #batches: readonly Range[];
  readonly #sampleAt: (position: number) => number;
  /** By the microbatch's number; what was taken is let go. */
  readonly #fetched = new Map<number, Promise<HeldPieces>>();
  readonly #decoded = new Map<number, Promise<DecodedMicrobatch>>();
  readonly #checksums = new Map<number, number>();

  /** Begins to fetch and decode. */
  constructor(lease: LeaseMessage, run: SampleResources) {
    this.#lease = lease;
    this.#run = run;
    this.#batches = microbatchesOf(lease.ranges, run.config.microbatch);
    this.#sampleAt = sampleOrder(run.config.seed, run.dataset, lease);
    this.#reach(0);
  }

  /** Settles once the first microbatch is decoded. @throws DATA_INVALID and what else fetching throws */
  async ready(): Promise<void> {
    await this.#decodedAt(0);
  }

  /** The microbatch that begins at a position. @throws as ready() */
  async input(from: number): Promise<MicrobatchInput> {
    const index = this.#batches.findIndex((batch) => batch.from === from);
    if (index < 0) throw new RangeError(`no microbatch of lease ${this.#lease.lease} begins at ${from}`);
    this.#reach(index);
    const { input, checksum } = await this.#decodedAt(index);
    this.#decoded.delete(index);
    this.#fetched.delete(index);
    this.#checksums.set(index, checksum);
    this.#reach(index + 1);
    return input;
  }

  /** Of all samples that were taken, each once. */
  get checksum(): number {
    return [...this.#checksums.values()].reduce(joinedChecksum, 0);
  }

  /** Begins what is to be ahead of a microbatch. */
  #reach(index: number): void {
    const { length } = this.#batches;
    for (let i = index; i < Math.min(index + DECODED_AHEAD, length); i++) this.#decodedAt(i);
    for (let i = index; i < Math.min(index + FETCHED_AHEAD, length); i++) this.#heldOf(i);
  }

  #decodedAt(index: number): Promise<DecodedMicrobatch> {
    const known = this.#decoded.get(index);
    if (known) return known;
    const decoding = this.#decode(index);
    // Whoever asks for the microbatch hears of it.
    decoding.catch(() => undefined);
    this.#decoded.set(index, decoding);
    return decoding;
  }

  async #decode(index: number): Promise<DecodedMicrobatch> {
    const held = await this.#heldOf(index);
    return this.#run.decoding.decode(this.#lease, this.#samplesOf(this.#batches[index]), held);
  }

  /** Raw shards serve many microbatches, and are held for the whole lease; a chunk serves one. */
  #heldOf(index: number): Promise<HeldPieces> {
    const raw = this.#run.dataset.format.kind === "raw";
    const key = raw ? -1 : index;
    const known = this.#fetched.get(key);
    if (known) return known;
    const { decoding, cache } = this.#run;
    const samples = (raw ? this.#batches : [this.#batches[index]]).flatMap((batch) => this.#samplesOf(batch));
    const fetching = cache.hold(decoding.piecesOf(this.#lease.split, samples));
    fetching.catch(() => undefined);
    this.#fetched.set(key, fetching);
    return fetching;
  }

  #samplesOf({ from, to }: Range): readonly number[] {
    return Array.from({ length: to - from }, (_, i) => this.#sampleAt(from + i));
  }
}
