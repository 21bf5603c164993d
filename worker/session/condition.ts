// A condition variable: the session's one flow of control waits here for what sockets, timers and people change.

import type { Clock } from "../../shared/base/clock.ts";

export class Condition {
  readonly #clock: Pick<Clock, "after">;
  #waiting: (() => void)[] = [];

  constructor(clock: Pick<Clock, "after">) {
    this.#clock = clock;
  }

  /** Something changed: every waiter looks again. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Resolves once the predicate holds, true; or after `timeoutMs` without, false. */
  async until(predicate: () => boolean, timeoutMs?: number): Promise<boolean> {
    let late = false;
    const wait = () => {
      late = true;
      this.notify();
    };
    const cancel = timeoutMs === undefined ? undefined : this.#clock.after(timeoutMs, wait);
    try {
      while (!predicate()) {
        if (late) return false;
        await new Promise<void>((wake) => this.#waiting.push(wake));
      }
      return true;
    } finally {
      cancel?.();
    }
  }

  /**
   * The promise's outcome, or undefined once the predicate holds before it settled; what comes of it then is nobody's
   * concern.
   */
  async unless<T>(predicate: () => boolean, promise: Promise<T>): Promise<T | undefined> {
    let settled = false;
    const settling = promise.finally(() => {
      settled = true;
      this.notify();
    });
    settling.catch(() => undefined);
    await this.until(() => settled || predicate());
    return settled ? settling : undefined;
  }
}
