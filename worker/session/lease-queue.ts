// The leases of one worker: the one that it computes, the one whose data it fetches meanwhile, and those that it has
// sent; asks for the next.

import type { Dataset } from "../../shared/data/dataset.ts";
import { MAX_MICROBATCHES } from "../../shared/wire/lease-ranges.ts";
import type { CoordinatorMessage, LeaseMessage, ReturnReason } from "../../shared/wire/protocol.ts";
import { MAX_TEXT } from "../../shared/wire/text-limit.ts";
import type { SessionLine } from "../../shared/wire/transfer/session-line.ts";
import { MEMORY_CAP_BYTES } from "../content/dataset-cache.ts";
import { type PreparedLease, prepareLease, type RunResources } from "./lease-work.ts";

/**
 * A lease that this worker holds. `queued`: waits for the one before. `computing`: may be given back, as queued ones
 * may. `sent`: its verdict is awaited. `over`: nothing more is due.
 */
export interface HeldLease {
  readonly lease: LeaseMessage;
  /** Its data, on their way since it came. */
  readonly prepared: Promise<PreparedLease>;
  phase: "queued" | "computing" | "sent" | "over";
  verdict?: Extract<CoordinatorMessage, { type: "cancel" | "accepted" | "rejected" }>;
}

/** Leases without a verdict: the coordinator gives no more. */
const LEASES_HELD = 2;

export interface LeaseQueueOptions {
  readonly line: Pick<SessionLine, "send">;
  readonly run: RunResources;
  /** Neither the volunteer nor the end of the session forbids another lease. */
  readonly wanted: () => boolean;
}

export class LeaseQueue {
  readonly #options: LeaseQueueOptions;
  readonly #maxMicrobatches: number | undefined;
  /** A ready is not answered yet. */
  #asked = false;
  /** Leases without a verdict, the oldest first. */
  #held: readonly HeldLease[] = [];

  constructor(options: LeaseQueueOptions) {
    this.#options = options;
    const { config, dataset } = options.run;
    this.#maxMicrobatches = leaseMemory(dataset, config.microbatch, MEMORY_CAP_BYTES);
  }

  /** Leases that are computed or wait for it, and those whose verdict has not come. */
  get leases(): readonly number[] {
    return this.#held.filter(({ verdict }) => !verdict).map(({ lease }) => lease.lease);
  }

  /** Whether nothing is due for any lease; one that has its verdict may not be counted yet. */
  get empty(): boolean {
    return this.#held.length === 0;
  }

  /** The lease to compute next, if it is here. */
  get queued(): HeldLease | undefined {
    return this.#held.find(({ phase }) => phase === "queued");
  }

  held(lease: number): HeldLease | undefined {
    return this.#held.find((held) => held.lease.lease === lease);
  }

  /** Asks for a lease, also for one ahead of the verdict on another, unless one is waited for or waits already. */
  ask(): void {
    const most = this.#options.run.config.lease.ahead ? LEASES_HELD : 1;
    if (this.#asked || this.queued || this.#held.length >= most || !this.#options.wanted()) return;
    this.#asked = true;
    this.#sayReady();
  }

  /** Says the last ready again, of which the coordinator does not know. */
  askAgain(): void {
    if (this.#asked && this.#options.wanted()) this.#sayReady();
  }

  /** The coordinator was told that nothing is wanted. */
  unasked(): void {
    this.#asked = false;
  }

  /** Queues a lease that was asked for and fetches its data; false where it was not, or is not wanted any more. */
  take(lease: LeaseMessage): boolean {
    const asked = this.#asked;
    this.#asked = false;
    if (!asked || !this.#options.wanted()) return false;
    const prepared = prepareLease(lease, this.#options.run);
    // Whoever computes the lease hears of it.
    prepared.catch(() => undefined);
    this.#held = [...this.#held, { lease, prepared, phase: "queued" }];
    return true;
  }

  /** Nothing more is due for a lease. */
  close(held: HeldLease): void {
    held.phase = "over";
    this.#held = this.#held.filter((other) => other !== held);
  }

  /** Gives back a lease, by default all, unless the contribution is on the way. */
  giveBack(reason: ReturnReason, detail: string, leases: readonly HeldLease[] = this.#held): void {
    for (const held of leases) {
      if (held.phase !== "queued" && held.phase !== "computing") continue;
      const { lease } = held.lease;
      this.#options.line.send({ type: "return", lease, reason, detail: detail.slice(0, MAX_TEXT) });
      this.close(held);
    }
  }

  #sayReady(): void {
    const ahead = this.#held.length > 0 ? { ahead: true } : {};
    const memory = this.#maxMicrobatches === undefined ? {} : { maxMicrobatches: this.#maxMicrobatches };
    this.#options.line.send({ type: "ready", ...ahead, ...memory });
  }
}

/**
 * Microbatches of one lease whose raw shards fit into `capBytes`, at least 1; undefined where the whole data set does,
 * and for chunks, of which few are held ahead however long the lease is. A permuted lease may touch as many shards as
 * it has samples. Activations set no limit: microbatches are computed one after another in the same buffers.
 */
export function leaseMemory(
  { format, train, test }: Pick<Dataset, "format" | "train" | "test">,
  microbatch: number,
  capBytes: number,
): number | undefined {
  const sizes = [...train.shards, ...test.shards].map(({ bytes }) => bytes);
  if (format.kind !== "raw" || sizes.reduce((sum, bytes) => sum + bytes, 0) <= capBytes) return undefined;
  const largest = sizes.reduce((most, bytes) => Math.max(most, bytes), 1);
  return Math.min(MAX_MICROBATCHES, Math.max(1, Math.floor(capBytes / (microbatch * largest))));
}
