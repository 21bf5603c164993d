// What a coordinator or gateway has accepted in the round at hand, as the referee counts it: of each place the newest,
// for what was accepted of it before has been withdrawn since, or the sum will show that it has not.

import type { Range } from "../../shared/base/intervals.ts";
import { microbatchesOf } from "../../shared/wire/lease-ranges.ts";
import type { KnownSum } from "./known-gradient.ts";

/** A contribution that was accepted. */
export interface Accepted {
  /** Positions of the pass. */
  readonly ranges: readonly Range[];
  readonly account: string;
  /** What a liar has sent in place of it. */
  readonly lie: KnownSum | undefined;
}

export class AcceptedWork {
  readonly #microbatch: number;
  #round = -1;
  readonly #leases = new Map<number, Accepted>();
  /** The lease of each microbatch, by its first position. */
  readonly #at = new Map<number, number>();

  constructor(microbatch: number) {
    this.#microbatch = microbatch;
  }

  /** @param round of its own count: what it accepted in the round before is in a sum, or in none */
  add(round: number, lease: number, accepted: Accepted): void {
    if (round !== this.#round) this.#clear();
    this.#round = round;
    for (const { from } of microbatchesOf(accepted.ranges, this.#microbatch)) {
      const before = this.#at.get(from);
      if (before !== undefined) this.#leases.delete(before);
      this.#at.set(from, lease);
    }
    this.#leases.set(lease, accepted);
  }

  /** What is in a sum of these ranges, which ends the round; what is outside of them was withdrawn before. */
  take(ranges: readonly Range[]): readonly Accepted[] {
    const isWithin = ({ from, to }: Range) => ranges.some((range) => range.from <= from && to <= range.to);
    const taken = [...this.#leases.values()].filter((accepted) => accepted.ranges.every(isWithin));
    this.#clear();
    return taken;
  }

  #clear(): void {
    this.#leases.clear();
    this.#at.clear();
  }
}
