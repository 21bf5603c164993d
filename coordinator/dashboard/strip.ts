// The pass at hand as a strip of equal cells: how much of each is committed, collected or out. Its size does not grow
// with the data set or with the workers.

import type { Range } from "../../shared/base/intervals.ts";
import type { PassWatch } from "../engine/run-watch.ts";
import { type PassView, STRIP_CELLS } from "./feed-message.ts";

/** What a full cell says. */
export const FULL = 255;

/** How much of each cell the ranges cover, in 255ths; ranges that overlap count twice, up to full. */
export function cover(ranges: readonly Range[], samples: number, cells: number): number[] {
  const covered = new Float64Array(cells);
  const each = samples / cells;
  for (const { from, to } of ranges) {
    const [first, last] = [Math.floor(from / each), Math.min(cells - 1, Math.ceil(to / each) - 1)];
    for (let cell = first; cell <= last; cell++) {
      covered[cell] += Math.min(to, (cell + 1) * each) - Math.max(from, cell * each);
    }
  }
  return Array.from(covered, (count) => Math.min(FULL, Math.round((FULL * count) / each)));
}

export function stripOf({ title, samples, committed, collected, leased }: PassWatch): PassView {
  const cells = Math.min(STRIP_CELLS, Math.max(1, samples));
  return {
    title,
    samples,
    committed: cover(committed, samples, cells),
    collected: cover(collected, samples, cells),
    leased: cover(leased, samples, cells),
  };
}
