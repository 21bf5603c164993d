// When a virtual volunteer computes nothing though it is there: stalls of drawn lengths, with pauses between them that
// make up their share.

import type { Rng } from "../../shared/base/rng.ts";
import { between } from "./profile.ts";

export interface Finish {
  /** Milliseconds. */
  readonly at: number;
  /** The stalls between start and finish. */
  readonly stalls: readonly { readonly from: number; readonly to: number }[];
}

export class StallSchedule {
  readonly #draws: Rng;
  readonly #seconds: readonly [number, number];
  /** Mean time between two stalls. */
  readonly #betweenMs: number;
  #next: { readonly from: number; readonly to: number };

  /** @param share of the time, at least 0 and below 1 */
  constructor(draws: Rng, share: number, seconds: readonly [number, number], start: number) {
    this.#draws = draws;
    this.#seconds = seconds;
    const meanMs = (1000 * (seconds[0] + seconds[1])) / 2;
    this.#betweenMs = share > 0 && meanMs > 0 ? (meanMs * (1 - share)) / share : Infinity;
    this.#next = this.#after(start);
  }

  /** When `workMs` of work that begins at `from` are done; questions must come in the order of their `from`. */
  finish(from: number, workMs: number): Finish {
    const stalls: { from: number; to: number }[] = [];
    let at = from;
    let left = workMs;
    while (this.#next.to <= from) this.#next = this.#after(this.#next.to);
    while (at + left > this.#next.from) {
      const stalled = { from: Math.max(at, this.#next.from), to: this.#next.to };
      left -= stalled.from - at;
      at = stalled.to;
      stalls.push(stalled);
      this.#next = this.#after(this.#next.to);
    }
    return { at: at + left, stalls };
  }

  /** Exponentially distributed, so that the world has no memory. */
  #after(time: number): { readonly from: number; readonly to: number } {
    if (this.#betweenMs === Infinity) return { from: Infinity, to: Infinity };
    const from = time - Math.log(1 - this.#draws.uniform()) * this.#betweenMs;
    return { from, to: from + 1000 * between(this.#seconds, this.#draws) };
  }
}
