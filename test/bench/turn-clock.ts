// How long this thread itself computed in one turn of its event loop. What a meter of delays sees is that and the wait
// for a core, which on a busy machine is most of it. Linux tells them apart (proc(5), schedstat).

import { readFileSync } from "node:fs";

/** Between looks. */
const everyMs = 2;
const nsPerMs = 1e6;

/** Nanoseconds that this process's main thread has computed so far; undefined where the system does not tell. */
function computedNs(): number | undefined {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]);
  } catch {
    return undefined;
  }
}

export class TurnClock {
  #longestNs = 0;
  #before = computedNs();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      const now = computedNs();
      if (now !== undefined && this.#before !== undefined)
        this.#longestNs = Math.max(this.#longestNs, now - this.#before);
      this.#before = now;
    }, everyMs);
  }

  /** Milliseconds of the longest turn since it was last taken; null where the system does not tell. */
  take(): number | null {
    const ms = this.#longestNs / nsPerMs;
    this.#longestNs = 0;
    return this.#before === undefined ? null : Math.round(100 * ms) / 100;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
