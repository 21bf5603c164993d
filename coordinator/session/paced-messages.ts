// Messages of one socket in their order, and only as fast as the turns of the event loop allow.

import { isChunk } from "../../shared/wire/transfer/chunk.ts";
import type { TurnBudget } from "./turn-budget.ts";

/** A peer that keeps to its credit sends no more at a time; from more on it is taken in at once, and told what is wrong. */
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
