// How much of what many sockets bring at once is taken in before everybody else has a turn: sixteen chunks of contributions, or
// the answers of a hundred workers, take longer than the event loop should be kept.

import type { Clock } from "../../shared/base/clock.ts";

/** Of chunks, which are checked and copied: two of them, beside what taking them from their sockets costs. */
export const TURN_BYTES = 1 << 19;
/** Of any kind. A contribution of a small model takes up to half a millisecond, until it is in the sum and the next lease on its way. */
export const TURN_MESSAGES = 12;

export class TurnBudget {
  readonly #clock: Pick<Clock, "after">;
  /** Of the turn that has begun. */
  #left: { bytes: number; messages: number } | undefined;
  /** In the order of asking. */
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  /** Whether a message may be taken in in this turn; the last that may can go beyond the budget. @param chunkBytes 0 where it is no chunk */
  take(chunkBytes: number): boolean {
    const left = this.#left ?? this.#begin();
    if (left.messages === 0 || (chunkBytes > 0 && left.bytes <= 0)) return false;
    left.messages--;
    left.bytes -= chunkBytes;
    return true;
  }

  /** Calls in the next turn. */
  wait(call: () => void): void {
    this.#waiting.push(call);
  }

  #begin() {
    this.#clock.after(0, () => this.#next());
    this.#left = { bytes: TURN_BYTES, messages: TURN_MESSAGES };
    return this.#left;
  }

  #next(): void {
    this.#left = undefined;
    for (const call of this.#waiting.splice(0)) call();
  }
}
