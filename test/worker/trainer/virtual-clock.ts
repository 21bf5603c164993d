// A clock whose time goes on only as far as somebody waits for it.

import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../../shared/base/clock.ts";

export class VirtualClock implements Pick<Clock, "now" | "after"> {
  #now = 0;
  #timers: { readonly at: number; readonly call: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  /** Resolves after so long: what a device or a person takes. */
  takes(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets time pass until the promise is settled. */
  async play<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const over = () => {
      settled = true;
    };
    promise.then(over, over);
    for (;;) {
      // Everything that was woken goes as far as it can before time does.
      await setImmediate();
      if (settled) return promise;
      const next = this.#timers.reduce((first, one) => (one.at < first.at ? one : first), this.#timers[0]);
      if (!next) throw new Error(`nothing more happens at ${this.#now} ms, and somebody waits`);
      this.#timers = this.#timers.filter((one) => one !== next);
      this.#now = Math.max(this.#now, next.at);
      next.call();
    }
  }
}
