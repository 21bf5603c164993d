// How a run's status gets to its workers: some at a time and so many a second, so that ten thousand that look on cost
// no step.

import type { Clock } from "../../shared/base/clock.ts";

/** Between two looks at the run by terminal and workers. */
export const STATUS_EVERY_MS = 500;
/** Statuses that one broadcast sends at most: with more workers than that each has one in its turn. */
export const STATUSES_AT_MOST = 500;
/** Of those, at once, and the time until the next so many. */
export const STATUSES_AT_ONCE = 50;
const PAUSE_MS = 20;

export interface StatusReceiver {
  sendStatus(bytes: Uint8Array<ArrayBuffer>): void;
}

/** All who look on; like a Set's, an iteration goes on through changes. */
export interface StatusReceivers extends Iterable<StatusReceiver> {
  readonly size: number;
}

export class StatusFeed {
  readonly #clock: Pick<Clock, "after">;
  readonly #receivers: StatusReceivers;
  /** Goes round and round; who comes is last, and who goes is left out. */
  #turn: Iterator<StatusReceiver> | undefined;
  #stop: () => void = () => undefined;

  constructor(clock: Pick<Clock, "after">, receivers: StatusReceivers) {
    this.#clock = clock;
    this.#receivers = receivers;
  }

  /** Sends a status to those whose turn it is; what is left of the one before is not sent any more. */
  broadcast(bytes: Uint8Array<ArrayBuffer>): void {
    this.#stop();
    this.#send(bytes, Math.min(this.#receivers.size, STATUSES_AT_MOST));
  }

  #send(bytes: Uint8Array<ArrayBuffer>, due: number): void {
    const now = Math.min(due, STATUSES_AT_ONCE, this.#receivers.size);
    for (let sent = 0; sent < now; sent++) this.#next()?.sendStatus(bytes);
    if (due > now && now > 0) this.#stop = this.#clock.after(PAUSE_MS, () => this.#send(bytes, due - now));
  }

  #next(): StatusReceiver | undefined {
    const next = this.#turn?.next();
    if (next && !next.done) return next.value;
    this.#turn = this.#receivers[Symbol.iterator]();
    const first = this.#turn.next();
    return first.done ? undefined : first.value;
  }
}
