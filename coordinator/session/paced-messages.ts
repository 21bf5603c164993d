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
 * What one socket may have waiting; from there on it is not read until half of it is taken in, and TCP holds its peer
 * back.
 */
export const MESSAGES_HELD = 32;
export const BYTES_HELD = 1 << 20;

export interface RawMessage {
  readonly bytes: Uint8Array;
  readonly isBinary: boolean;
}

export interface PacedMessagesOptions {
  readonly budget: TurnBudget;
  readonly take: (message: RawMessage) => void;
  /** The socket, which is not read while too much of it waits. */
  readonly source: { pause(): void; resume(): void };
}

export class PacedMessages {
  readonly #options: PacedMessagesOptions;
  readonly #held: RawMessage[] = [];
  #heldBytes = 0;
  #paused = false;
  /** What to do once all is taken in. */
  #afterwards: (() => void) | undefined;

  constructor(options: PacedMessagesOptions) {
    this.#options = options;
  }

  /** Messages that wait for their turn. What was read of a socket in one piece comes still, after it is paused. */
  get held(): number {
    return this.#held.length;
  }

  receive(message: RawMessage): void {
    if (this.#held.length === 0 && this.#fits(message)) {
      this.#options.take(message);
      return;
    }
    this.#held.push(message);
    this.#heldBytes += message.bytes.length;
    if (this.#held.length === 1) this.#waitForTurn();
    if (this.#paused || (this.#held.length < MESSAGES_HELD && this.#heldBytes < BYTES_HELD)) return;
    this.#paused = true;
    this.#options.source.pause();
  }

  /** Calls once what is held has been taken in, in as many turns as that takes: a socket's end is told after it. */
  whenTaken(call: () => void): void {
    if (this.#held.length === 0) call();
    else this.#afterwards ??= call;
  }

  /** Forgets what is held: the connection is over. */
  drop(): void {
    this.#held.length = 0;
    this.#heldBytes = 0;
    this.#settle();
  }

  #fits({ bytes, isBinary }: RawMessage): boolean {
    return this.#options.budget.take(isBinary && isChunk(bytes) ? bytes.length : 0);
  }

  #waitForTurn(): void {
    this.#options.budget.wait(() => this.#goOn());
  }

  #goOn(): void {
    for (let next = this.#held[0]; next; next = this.#held[0]) {
      if (!this.#fits(next)) {
        this.#waitForTurn();
        break;
      }
      this.#held.shift();
      this.#heldBytes -= next.bytes.length;
      this.#options.take(next);
    }
    this.#settle();
  }

  #settle(): void {
    if (this.#paused && this.#held.length <= MESSAGES_HELD / 2 && this.#heldBytes <= BYTES_HELD / 2) {
      this.#paused = false;
      this.#options.source.resume();
    }
    if (this.#held.length > 0) return;
    const call = this.#afterwards;
    this.#afterwards = undefined;
    call?.();
  }
}
