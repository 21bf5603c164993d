// Who has the device: leases, and between two microbatches whoever measures kernels on it, for a moment and with rests.

import type { Clock } from "../../shared/base/clock.ts";

/** After a turn, leases compute for so many times as long as it took before there is another. */
export const REST = 1;

export interface DeviceTurnsOptions {
  readonly clock: Pick<Clock, "now" | "after">;
  /** Resolves when all that was submitted is computed. */
  readonly drained: () => Promise<unknown>;
}

export class DeviceTurns {
  readonly #options: DeviceTurnsOptions;
  #waiting: (() => void)[] = [];
  /** The turn that is taken. */
  #turn: { readonly over: Promise<void>; readonly end: () => void } | undefined;
  #leases = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: DeviceTurnsOptions) {
    this.#options = options;
  }

  /** Has the device for `work` alone, once a lease lets it: at once where none is computed and the rest is over. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    const { clock, drained } = this.#options;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      this.#offerWhenRested();
    });
    const since = clock.now();
    try {
      // What leases have submitted would be timed too.
      await drained();
      return await work();
    } finally {
      const now = clock.now();
      this.#restsUntil = now + REST * (now - since);
      this.#turn?.end();
      this.#turn = undefined;
      this.#offerWhenRested();
    }
  }

  /** A lease's microbatch is about to be submitted: resolves when nobody has the device, after a turn that is due. */
  async pass(): Promise<void> {
    this.#offer();
    while (this.#turn) await this.#turn.over;
  }

  /** No lease is computed. */
  get idle(): boolean {
    return this.#leases === 0;
  }

  /** A lease is computed from here on, and gives turns by `pass`. */
  begin(): void {
    this.#leases++;
  }

  end(): void {
    this.#leases--;
    this.#offerWhenRested();
  }

  /** Nobody computes any more: who waits is told by the device. */
  close(): void {
    this.#closed = true;
    this.#offer();
  }

  get #rested(): boolean {
    return this.#closed || this.#options.clock.now() >= this.#restsUntil;
  }

  #offer(): void {
    const next = this.#turn || !this.#rested ? undefined : this.#waiting.shift();
    if (!next) return;
    let end = () => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#turn = { over, end };
    next();
  }

  #offerWhenRested(): void {
    if (this.#leases > 0 && !this.#closed) return;
    if (this.#rested) this.#offer();
    else {
      const { clock } = this.#options;
      clock.after(this.#restsUntil - clock.now(), () => this.#offerWhenRested());
    }
  }
}
