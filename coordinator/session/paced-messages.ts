// Messages of one socket in their order, and only as fast as the turns of the event loop allow: sixteen chunks of
// contributions, or the answers of a hundred workers, that many sockets bring at once, take longer than the event loop
// should be kept from everybody else.

import type { Clock } from "../../shared/base/clock.ts";
import { isChunk } from "../../shared/wire/chunk.ts";

/**
 * A turn takes in so much of chunks, which are checked and copied: two, beside what taking them from their sockets
 * costs.
 */
export const TURN_BYTES = 1 << 19;
/**
 * Of any kind. A contribution of a small model takes up to half a millisecond, until it is in the sum and the next
 * lease on its way.
 */
export const TURN_MESSAGES = 12;

export class TurnBudget {
  readonly #clock: Pick<Clock, "after">;
  /** What the turn that has begun may still take in; undefined between turns. */
  #left: { bytes: number; messages: number } | undefined;
  /** Called in the next turn, in the order of asking. */
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  /**
   * Whether a message may be taken in in this turn; the last that may can go beyond the budget.
   * @param chunkBytes 0 where it is no chunk
   */
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

/**
 * A peer that keeps to its credit sends no more at a time; from more on it is taken in at once, and told what is wrong.
 */
export const MESSAGES_HELD = 32;

export interface RawMessage {
  readonly bytes: Uint8Array;
  readonly isBinary: boolean;
}

export class PacedMessages {
  readonly #budget: TurnBudget;
  readonly #take: (message: RawMessage) => void;
  readonly #held: RawMessage[] = [];

  constructor(budget: TurnBudget, take: (message: RawMessage) => void) {
    this.#budget = budget;
    this.#take = take;
  }

  receive(message: RawMessage): void {
    if (this.#held.length === 0 && this.#fits(message)) {
      this.#take(message);
      return;
    }
    this.#held.push(message);
    if (this.#held.length === 1) this.#budget.wait(() => this.#goOn());
    if (this.#held.length > MESSAGES_HELD) this.flush();
  }

  /** Takes in what is held, before the socket's end is told. */
  flush(): void {
    for (let next = this.#held.shift(); next; next = this.#held.shift()) this.#take(next);
  }

  #fits({ bytes, isBinary }: RawMessage): boolean {
    return this.#budget.take(isBinary && isChunk(bytes) ? bytes.length : 0);
  }

  #goOn(): void {
    for (let next = this.#held[0]; next; next = this.#held[0]) {
      if (!this.#fits(next)) {
        this.#budget.wait(() => this.#goOn());
        return;
      }
      this.#held.shift();
      this.#take(next);
    }
  }
}
