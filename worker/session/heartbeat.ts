// Tells a dead connection from a quiet one: TCP alone may take a quarter of an hour to notice.

import type { Clock } from "../../shared/base/clock.ts";

/** Intervals without a word from the other side after which it counts as gone. */
export const MISSED_PINGS = 3;

export interface HeartbeatOptions {
  readonly clock: Pick<Clock, "every">;
  readonly intervalMs: number;
  /** Sends a ping with this nonce. */
  readonly ping: (nonce: number) => void;
  /** Called once, when nothing was heard for MISSED_PINGS intervals. */
  readonly lost: (silentMs: number) => void;
}

export class Heartbeat {
  readonly #stop: () => void;
  #silent = 0;
  #nonce = 0;

  constructor({ clock, intervalMs, ping, lost }: HeartbeatOptions) {
    this.#stop = clock.every(intervalMs, () => {
      if (this.#silent >= MISSED_PINGS) {
        this.stop();
        lost(this.#silent * intervalMs);
        return;
      }
      // Counted in ticks, not by the clock: a laptop that slept has not heard anything, but has not missed anything
      // either.
      this.#silent++;
      ping(this.#nonce++);
    });
  }

  /** Anything that arrives proves life, not pongs alone: a long frame may be on its way before them. */
  heard(): void {
    this.#silent = 0;
  }

  stop(): void {
    this.#stop();
  }
}
