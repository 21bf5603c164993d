// How long the event loop was kept from its turn: sockets, pings and deadlines all wait meanwhile, so it is measured
// and told.

import { monitorEventLoopDelay } from "node:perf_hooks";

/** Milliseconds that timers came late. */
export interface LoopDelay {
  readonly max: number;
  readonly p99: number;
}

/** Between samples; a delay shorter than this is not seen. */
const resolutionMs = 2;

export class LoopDelayMeter {
  readonly #histogram = monitorEventLoopDelay({ resolution: resolutionMs });

  constructor() {
    this.#histogram.enable();
  }

  /** Of the time since it was last taken. */
  take(): LoopDelay {
    const { max } = this.#histogram;
    // An empty histogram has the largest number as its minimum, and 0 as everything else.
    const late = (nanoseconds: number) => Math.max(0, Math.round(nanoseconds / 1e4 - resolutionMs * 100) / 100);
    const delay = { max: late(max), p99: late(this.#histogram.percentile(99)) };
    this.#histogram.reset();
    return delay;
  }

  close(): void {
    this.#histogram.disable();
  }
}
