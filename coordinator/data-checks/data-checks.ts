// The checks of a run: decides at each grant, decodes in a thread, and says at an answer what its checksum must be.

import type { Clock } from "../../shared/base/clock.ts";
import type { LeaseId } from "../../shared/base/ids.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { joinedChecksum } from "../../shared/samples/checksum.ts";
import type { Decoding } from "../../shared/samples/decoding.ts";
import { sampleOrder } from "../../shared/samples/sample-order.ts";
import { microbatchesOf, samplesOf } from "../../shared/wire/lease-ranges.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { type Budget, chooseCheck, MOST_SAVED_MS } from "./check-choice.ts";
import type { HoldPieces } from "./read-pieces.ts";

/** A contribution waits so long for the check of its lease, then it is believed. */
export const CHECK_PATIENCE_MS = 20_000;
/** Accounts whose checks are counted; of the longest forgotten the first leases are checked again. */
const COUNTED_ACCOUNTS = 4096;
/** What a sample is taken to cost before any was decoded. */
const UNKNOWN_MS_A_SAMPLE = 3;
/** Weight of the newest measurement. */
const NEWEST = 0.3;
/** Checksums that are kept for whoever is leased the same range: an audit's copy, or another try. */
const KEPT_CHECKSUMS = 256;
/** Checks at a time; a round that is dropped leaves some that nobody ends. */
const KEPT_CHECKS = 4096;

/** What rounds ask of it. */
export interface SampleChecks {
  /** A lease was granted. @param audited its range is computed by another account too */
  granted(lease: CheckedLease, terms: CheckedTerms, audited: boolean): void;
  /**
   * What an answer to the lease has to wait for: the check of it, or of an earlier one of its account; undefined where
   * there is nothing.
   */
  pending(lease: CheckedLease): Promise<void> | undefined;
  /** The checksum that the lease's samples have; undefined where it was not checked, or could not be. */
  checksum(lease: LeaseId): number | undefined;
  /** The lease is answered, or over: nothing more will be asked of it. */
  over(lease: LeaseId): void;
}

export interface CheckedLease {
  readonly lease: LeaseId;
  readonly account: string;
}

export type CheckedTerms = Pick<LeaseMessage, "phase" | "epoch" | "split" | "ranges">;

export interface DataChecksOptions {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly decoding: Decoding;
  readonly hold: HoldPieces;
  readonly clock: Pick<Clock, "now" | "after">;
  /** In [0, 1): no part of the run's own draws, or a worker could foresee it. */
  readonly draw: () => number;
  /** A check could not be made, and why. */
  readonly onNotice: (message: string) => void;
}

interface Check {
  readonly account: string;
  readonly terms: CheckedTerms;
  checksum: number | undefined;
  over: boolean;
  done: boolean;
  readonly settled: Promise<void>;
  readonly settle: () => void;
}

export class DataChecks implements SampleChecks {
  readonly #options: DataChecksOptions;
  readonly #checks = new Map<LeaseId, Check>();
  /** Checks of each account so far. */
  readonly #counts = new Map<string, number>();
  #budget: Budget;
  #msASample = UNKNOWN_MS_A_SAMPLE;
  /** Of all that is not done, as it was estimated. */
  #queuedMs = 0;
  readonly #known = new Map<string, number>();
  #turn: Promise<void> = Promise.resolve();
  #told = false;

  constructor(options: DataChecksOptions) {
    this.#options = options;
    this.#budget = { ms: MOST_SAVED_MS, at: options.clock.now() };
  }

  granted({ lease, account }: CheckedLease, terms: CheckedTerms, audited: boolean): void {
    const { clock, draw } = this.#options;
    const before = this.#counts.get(account) ?? 0;
    const costMs = this.#msASample * samplesOf(terms.ranges);
    const choice = chooseCheck(clock.now(), this.#budget, {
      costMs,
      queuedMs: this.#queuedMs,
      before,
      audited,
      draw: draw(),
    });
    this.#budget = choice.budget;
    if (!choice.checked) return;
    this.#counts.delete(account);
    this.#counts.set(account, before + 1);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > COUNTED_ACCOUNTS && oldest !== undefined) this.#counts.delete(oldest);
    let settle = () => {};
    const settled = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const { phase, epoch, split, ranges } = terms;
    const own = { phase, epoch, split, ranges };
    const check: Check = { account, terms: own, checksum: undefined, over: false, done: false, settled, settle };
    this.#checks.set(lease, check);
    const [first] = this.#checks.keys();
    if (this.#checks.size > KEPT_CHECKS && first !== undefined) this.over(first);
    this.#queuedMs += costMs;
    this.#turn = this.#turn
      .then(() => this.#make(check))
      .finally(() => {
        this.#queuedMs -= costMs;
      });
  }

  pending({ lease, account }: CheckedLease): Promise<void> | undefined {
    const waiting = [...this.#checks].filter(([id, check]) => !check.done && check.account === account && id <= lease);
    if (waiting.length === 0) return undefined;
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const stop = clock.after(CHECK_PATIENCE_MS, resolve);
      Promise.all(waiting.map(([, { settled }]) => settled)).then(() => {
        stop();
        resolve();
      });
    });
  }

  checksum(lease: LeaseId): number | undefined {
    return this.#checks.get(lease)?.checksum;
  }

  over(lease: LeaseId): void {
    const check = this.#checks.get(lease);
    if (!check) return;
    check.over = true;
    this.#checks.delete(lease);
  }

  async #make(check: Check): Promise<void> {
    try {
      if (!check.over) check.checksum = await this.#decode(check);
    } catch (error) {
      if (!this.#told) {
        const why = error instanceof Error ? error.message : String(error);
        this.#options.onNotice(`contributions are believed without a look at their samples: ${why}`);
      }
      this.#told = true;
    } finally {
      check.done = true;
      check.settle();
    }
  }

  /** Undefined where nobody wants to know any more. */
  async #decode(check: Check): Promise<number | undefined> {
    const { config, dataset, decoding, hold, clock } = this.#options;
    const { terms } = check;
    const key = JSON.stringify(terms);
    const before = this.#known.get(key);
    if (before !== undefined) return before;
    const sampleAt = sampleOrder(config.seed, dataset, terms);
    let checksum = 0;
    for (const { from, to } of microbatchesOf(terms.ranges, config.microbatch)) {
      if (check.over) return undefined;
      const samples = Array.from({ length: to - from }, (_, i) => sampleAt(from + i));
      const held = await hold(decoding.piecesOf(terms.split, samples));
      const began = clock.now();
      checksum = joinedChecksum(checksum, (await decoding.decode(terms, samples, held)).checksum);
      const each = (clock.now() - began) / samples.length;
      this.#msASample += NEWEST * (each - this.#msASample);
    }
    this.#known.set(key, checksum);
    const [oldest] = this.#known.keys();
    if (this.#known.size > KEPT_CHECKSUMS && oldest !== undefined) this.#known.delete(oldest);
    return checksum;
  }
}
