// How long the run takes to get over a fault: from the moment at which a lease's holder stalls or is gone until all of
// the lease's samples were accepted, from whomever.

import type { Range } from "../../shared/base/intervals.ts";
import type { Timeline } from "./timeline.ts";

export interface Loss {
  /** Positions of the pass. */
  readonly ranges: readonly Range[];
  readonly pass: number;
  readonly cause: "stalled" | "dropped" | "left" | "died" | "lost";
}

interface Open {
  readonly since: number;
  readonly pass: number;
  rest: readonly Range[];
}

export interface RecoverySummary {
  readonly faults: number;
  /** Seconds; null where no fault took a lease. */
  readonly medianSeconds: number | null;
  readonly longestSeconds: number | null;
  /** Faults whose samples have not come yet. */
  readonly open: number;
}

export class Recoveries {
  readonly #timeline: Timeline;
  #open: Open[] = [];
  readonly #seconds: number[] = [];

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  lost({ ranges, pass }: Omit<Loss, "cause">, _cause: Loss["cause"]): void {
    this.#open.push({ since: this.#timeline.now, pass, rest: ranges });
  }

  done({ ranges, pass }: Omit<Loss, "cause">): void {
    for (const range of ranges) if (this.#open.length > 0) this.#doneWith(range, pass);
  }

  #doneWith({ from, to }: Range, pass: number): void {
    let over = false;
    for (const open of this.#open) {
      if (open.pass !== pass || !open.rest.some((range) => range.from < to && range.to > from)) continue;
      open.rest = open.rest.flatMap((range) =>
        [
          { from: range.from, to: Math.min(range.to, from) },
          { from: Math.max(range.from, to), to: range.to },
        ].filter((part) => part.from < part.to),
      );
      if (open.rest.length > 0) continue;
      this.#seconds.push((this.#timeline.now - open.since) / 1000);
      over = true;
    }
    if (over) this.#open = this.#open.filter(({ rest }) => rest.length > 0);
  }

  /** What was collected is given up with everything that was open. */
  forget(): void {
    this.#open = [];
  }

  summary(): RecoverySummary {
    const sorted = this.#seconds.toSorted((a, b) => a - b);
    return {
      faults: sorted.length + this.#open.length,
      medianSeconds: sorted[Math.floor(sorted.length / 2)] ?? null,
      longestSeconds: sorted.at(-1) ?? null,
      open: this.#open.length,
    };
  }
}
