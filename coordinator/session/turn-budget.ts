// How much of what many sockets bring at once is taken in before everybody else has a turn: chunks of contributions are checked
// and copied, and sixteen of them take longer than the event loop should be kept.

import type { Clock } from "../clock.ts";

/** Four chunks: about three milliseconds. */
export const TURN_BYTES = 1 << 20;

export class TurnBudget {
  readonly #clock: Pick<Clock, "after">;
  readonly #bytes: number;
  #left: number;
  /** In the order of asking. */
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Pick<Clock, "after">, bytes = TURN_BYTES) {
    this.#clock = clock;
    this.#bytes = bytes;
    this.#left = bytes;
  }

  /** Whether so much may be done in this turn; the last that may can go beyond the budget. */
  take(bytes: number): boolean {
    if (this.#left <= 0) return false;
    if (this.#left === this.#bytes) this.#clock.after(0, () => this.#next());
    this.#left -= bytes;
    return true;
  }

  /** Calls in the next turn. */
  wait(call: () => void): void {
    this.#waiting.push(call);
  }

  #next(): void {
    this.#left = this.#bytes;
    for (const call of this.#waiting.splice(0)) call();
  }
}
